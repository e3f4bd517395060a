"""What the commands say of themselves, ``docs/cli.md`` and the code agree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from yeban import errors
from yeban.cli import main, progress
from yeban.cli.exit_codes import Exit, status_of

REFERENCE = (Path(__file__).resolve().parents[4] / "docs/cli.md").read_text(encoding="utf-8")
STATUSES = {status.value for status in Exit}


def commands(command: click.Command = main, path: tuple[str, ...] = ("yeban",)) -> Iterator[tuple[str, click.Command]]:
    yield " ".join(path), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, (*path, name))


ALL = dict(commands())


def test_these_are_the_commands() -> None:
    verbs = ("submit", "list", "status", "cancel", "pause", "resume", "download", "correct", "refine", "delete")
    jobs = {f"yeban job {verb}" for verb in verbs}
    models = {f"yeban models {verb}" for verb in ("list", "build", "check", "build-engine", "session")}
    accounts = {f"yeban account {verb}" for verb in ("add", "list", "change", "password", "token")} | {"yeban account"}
    programs = {f"yeban {name}" for name in ("up", "web", "worker", "probe")}
    probes = {f"yeban probe {program}" for program in ("web", "worker")}
    keeping = {f"yeban {name}" for name in ("migrate", "doctor", "backup", "restore")}
    alone = {f"yeban {name}" for name in ("tag", "classify", "eval", "job", "models")} | programs | keeping
    assert set(ALL) == {"yeban"} | alone | jobs | models | probes | accounts


@pytest.mark.parametrize("path", ALL)
def test_each_command_helps_and_stands_in_the_reference(path: str) -> None:
    for flag in ("-h", "--help"):
        ended = CliRunner().invoke(main, [*path.split()[1:], flag])
        assert ended.exit_code == 0
        assert ended.stdout.startswith("Usage: ")
    assert path in REFERENCE
    assert ALL[path].help


def test_the_help_of_each_command_begins_with_its_line_in_the_overview() -> None:
    overview = dict(re.findall(r"^  ([a-z]+) {2,}(.+)$", CliRunner().invoke(main, ["--help"]).stdout, re.MULTILINE))
    commands_ = main.list_commands(click.Context(main))
    assert list(overview)[-len(commands_) :] == commands_
    for name in commands_:
        assert (ALL[f"yeban {name}"].help or "").splitlines()[0] == overview[name], name


@pytest.mark.parametrize("path", ALL)
def test_each_option_has_a_help_text_and_stands_in_its_section(path: str) -> None:
    section = section_of(path)
    for parameter in ALL[path].params:
        if not isinstance(parameter, click.Option):
            continue
        assert parameter.help, parameter.name
        for flag in parameter.opts:
            assert re.search(rf"`[^`]*{re.escape(flag)}\b", section), f"{path} {flag}"


def test_the_help_and_the_reference_name_every_exit_status_and_no_other() -> None:
    helped = re.findall(r"^\s+(\d+) {2,}(\S.*)", CliRunner().invoke(main, ["--help"]).stdout, re.MULTILINE)
    table = re.findall(r"^\| (\d+) \| (.+) \|$", REFERENCE, re.MULTILINE)
    assert {int(status) for status, _ in helped} == STATUSES
    assert {int(status) for status, _ in table} == STATUSES
    for (_, short), (_, long) in zip(helped, table, strict=True):
        assert long.replace("`", "")[:15] == short[:15]


@pytest.mark.parametrize("error", errors.error_classes().values())
def test_each_error_has_a_status(error: type[errors.YebanError]) -> None:
    assert status_of(error("x")) in Exit


def test_the_reference_knows_how_long_an_outage_may_be() -> None:
    assert f"tried again for {progress.OUTAGE_S:g} seconds" in REFERENCE


def test_the_commands_of_the_examples_are_ones_that_there_are() -> None:
    for block in re.findall(r"```sh\n(.*?)```", REFERENCE, re.DOTALL):
        for line in block.splitlines():
            words = line.split("#")[0].split() if "#N" not in line else line.split()
            path = " ".join(words[:3]) if words[1] in {"account", "job", "models", "probe"} else " ".join(words[:2])
            known = {flag for parameter in ALL[path].params for flag in parameter.opts}
            assert {word for word in words if word.startswith("-") and word != "-"} <= known, line


def section_of(path: str) -> str:
    """The section of a command, with that of the command whose options it says it shares."""
    sections = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", REFERENCE, re.DOTALL | re.MULTILINE))
    name = " ".join(path.split()[:2])
    if path == "yeban":
        return REFERENCE
    text = next(content for title, content in sections.items() if f"`{name}`" in title)
    if path == "yeban job submit":
        text += sections["`yeban tag`"]
    return text
