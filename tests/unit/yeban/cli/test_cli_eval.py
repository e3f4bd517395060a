"""``yeban eval`` hands over to a program of its own; what that prints and ends with comes through."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    path = tmp_path / "-labelled.csv"
    path.write_text("text,label\n包裹丢了,物流\n快递慢,物流\n要发票,发票\n票呢,发票\n", encoding="utf-8")
    return path


def test_figures_come_through(run: Run, labelled: Path, model_dir: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ended = run("eval", "--gold-column", "label", "--model-dir", model_dir, "--json", "--", labelled.name)

    assert ended.exit_code == 0, capfd.readouterr().err
    told = json.loads(capfd.readouterr().out)
    assert [one["setting"] for one in told["files"][0]["settings"]] == ["row by row", "refined"]


@pytest.mark.parametrize(
    ("further", "words"),
    [
        (("--gold-column", "nope"), "nope"),
        (("--gold-column", "label", "--leave-out", "物流"), "at least three"),
        (("--gold-column", "label", "--precision", "nan"), "--precision"),
        (("--gold-column", "label", "--delimiter", "-->"), "delimiter"),
    ],
)
def test_mistakes_that_only_the_program_sees(
    run: Run, labelled: Path, capfd: pytest.CaptureFixture[str], further: tuple[str, ...], words: str
) -> None:
    ended = run("eval", labelled, *further)

    captured = capfd.readouterr()
    assert ended.exit_code == 2
    assert captured.out == ""
    assert captured.err.splitlines()[-1].startswith("yeban: ")
    assert words in captured.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--gold-column", "label"), "FILE"),
        (("none.csv", "--gold-column", "label"), "none.csv"),
        (("in.csv",), "--gold-column"),
        (("pipe", "--gold-column", "label"), "not an ordinary file"),
        (("in.csv", "--gold-column", "label", "--labels", "a,b", "--labels-file", "in.csv"), "--labels-file"),
        (("in.csv", "--gold-column", "label", "--precision", "0"), "--precision"),
        (("in.csv", "--gold-column", "label", "--precision", "1.5"), "--precision"),
        (("in.csv", "--gold-column", "label", "--examples", "0"), "--examples"),
        (("in.csv", "--gold-column", "label", "--corrections", "many"), "--corrections"),
    ],
)
def test_mistakes_that_need_no_program(run: Run, table: Path, arguments: tuple[str, ...], words: str) -> None:
    os.mkfifo("pipe")

    ended = run("eval", *arguments)

    assert ended.exit_code == 2
    assert ended.stderr.splitlines()[-1].startswith("yeban: ")
    assert words in ended.stderr


def test_bad_settings_are_named(run: Run, labelled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YEBAN_PORT", "many")

    ended = run("eval", labelled, "--gold-column", "label")

    assert ended.exit_code == 2
    assert "YEBAN_PORT" in ended.stderr
