from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from yeban import __version__
from yeban.cli.main import main

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LINES = [line for line in re.sub(r"\\\n\s*", "", TEXT).splitlines() if line and not line.startswith("#")]
STEPS = [tuple(line.split(" ", 1)) for line in LINES]


def _stage(name: str) -> list[tuple[str, ...]]:
    """The steps of a stage with those of the stages that it is made from."""
    starts = [index for index, (step, _) in enumerate(STEPS) if step == "FROM"]
    for start, end in zip(starts, [*starts[1:], len(STEPS)], strict=True):
        base, _, called = STEPS[start][1].partition(" AS ")
        if called == name:
            inherited = _stage(base) if ":" not in base else []
            return [*inherited, *STEPS[start:end]]
    raise AssertionError(f"no stage {name}")


def test_every_base_is_pinned_to_an_exact_version() -> None:
    stages = {rest.partition(" AS ")[2] for step, rest in STEPS if step == "FROM"}
    bases = {rest.partition(" AS ")[0] for step, rest in STEPS if step == "FROM"} - stages

    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.13\.\d+-slim-\w+", bases.pop())


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_an_image_runs_as_an_account_of_its_own_with_what_was_built_elsewhere(target: str) -> None:
    steps = _stage(target)
    (user,) = [rest for step, rest in steps if step == "USER"]
    run = " ".join(rest for step, rest in steps if step == "RUN")

    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert "apt-get" not in run
    assert "pip install" not in run
    assert ("COPY", f"--from=build-{target} /opt/yeban /opt/yeban") in steps
    assert {"ENTRYPOINT", "HEALTHCHECK", "STOPSIGNAL", "VOLUME", "LABEL"} <= {step for step, _ in steps}


def test_without_a_target_it_is_the_image_for_cpus() -> None:
    assert [rest for step, rest in STEPS if step == "FROM"][-1].endswith(" AS cpu")


def test_an_image_gets_the_packages_that_were_tested() -> None:
    installs = {rest for step, rest in STEPS if step == "RUN" and "pip install" in rest}

    assert len(installs) == 2
    for line in installs:
        assert "--constraint constraints/py313.txt" in line
    assert any("'.[web,worker,cpu,tracing]'" in line for line in installs)
    assert any("'.[web,worker,gpu,tracing]'" in line for line in installs)


def test_no_secret_is_in_a_layer() -> None:
    for step, rest in STEPS:
        if step in {"ENV", "ARG"}:
            assert not re.search(r"PASSWORD|SECRET|TOKEN|KEY|_URL", rest)
        if step in {"COPY", "ADD"}:
            assert "secrets" not in rest
            assert ".env" not in rest
    assert "ADD" not in {step for step, _ in STEPS}


def test_what_is_copied_passes_the_ignore_file_and_nothing_else_does() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    allowed = {line.removeprefix("!") for line in rules if line.startswith("!")}
    copied = {
        path
        for step, rest in STEPS
        if step == "COPY" and not rest.startswith("--from")
        for path in shlex.split(rest)[:-1]
    }

    assert rules[0] == "*"
    assert copied == allowed
    assert all((ROOT / path).exists() for path in allowed)


def test_its_words_are_those_of_the_package() -> None:
    labels = next(rest for step, rest in STEPS if step == "LABEL")

    assert f"VERSION={__version__}" in {rest for step, rest in STEPS if step == "ARG"}
    for name in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{name}=" in labels


def test_the_command_by_default_is_one_that_yeban_has() -> None:
    (default,) = [rest for step, rest in STEPS if step == "CMD"]

    (name,) = yaml.safe_load(default)
    assert main.get_command(click.Context(main), name) is not None
