from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.unit.yeban.cli.conftest import JOB_ID, TABLE, FakeServer, job
from yeban.cli import progress

JOB = f"/api/v1/jobs/{JOB_ID}"
Run = Callable[..., Result]


@pytest.fixture
def tag(run: Run, server: FakeServer, table: Path) -> Run:
    def tag(*arguments: object) -> Result:
        return run("tag", table, "--labels", "a,b", "--server", server.url, *arguments)

    return tag


def interrupted(answer: object) -> Callable[[], object]:
    """An answer during which a person presses Ctrl-C."""

    def answer_interrupted() -> object:
        os.kill(os.getpid(), signal.SIGINT)
        return answer

    return answer_interrupted


def test_json_is_one_object_and_the_only_thing_on_standard_output(tag: Run, tmp_path: Path) -> None:
    ended = tag("--json")

    assert ended.exit_code == 0, ended.stderr
    summary = json.loads(ended.stdout)
    assert ended.stdout.count("\n") == 1
    assert summary == {
        "job": JOB_ID,
        "state": "completed",
        "rows": 2,
        "ok": 2,
        "abstained": 0,
        "errors": 0,
        "seconds": 0.5,
        "rows_per_s": 4.0,
        "labels": {"a": 2, "b": 0},
        "model": {"name": "e5-small", "fingerprint": "f"},
        "output": str(tmp_path / "in.tagged.csv"),
    }


def test_accuracy_is_there_with_gold(tag: Run, server: FakeServer) -> None:
    evaluation = {"accuracy": 0.5, "macro_f1": 0.4, "unknown_gold": {"c": 1}}
    summary = {"labels": {"a": 2}, "seconds": 0.5, "evaluation": evaluation}
    server.answers["GET", JOB] = (200, job("completed", summary=summary))

    printed = json.loads(tag("--gold-column", "label", "--json").stdout)

    assert (printed["accuracy"], printed["macro_f1"], printed["unknown_gold"]) == (0.5, 0.4, {"c": 1})
    assert "accuracy 0.500, macro-F1 0.400" in tag("--gold-column", "label").stdout


def test_the_form_carries_what_was_asked(tag: Run, server: FakeServer) -> None:
    tag("--text-column", "#1", "--model", "m", "--template", "关于{}", "--multi-label", "--threshold", "0.25")

    form = server.bodies[0].decode()
    for name, value in {
        "text_column": "#1",
        "model": "m",
        "template": "关于{}",
        "multi_label": "true",
        "threshold": "0.25",
        "labels": json.dumps([{"name": name, "description": "", "examples": []} for name in "ab"]),
    }.items():
        assert f'name="{name}"\r\n\r\n{value}\r\n' in form


@pytest.mark.parametrize(
    ("state", "status"),
    [("completed", 0), ("completed_with_errors", 3), ("failed", 4), ("expired", 4), ("cancelled", 130)],
)
def test_each_end_has_its_status_and_its_file(
    tag: Run, server: FakeServer, tmp_path: Path, state: str, status: int
) -> None:
    server.answers["GET", JOB] = (200, job(state))

    ended = tag("-o", "out.csv")

    assert ended.exit_code == status
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == TABLE


def test_a_failed_job_says_why(tag: Run, server: FakeServer) -> None:
    server.answers["GET", JOB] = (200, job("failed", error="The model [x] is gone."))

    ended = tag("--json")

    assert ended.stderr.splitlines()[-1].startswith(
        "yeban: the job failed: The model [x] is gone.; the finished rows are in "
    )
    assert json.loads(ended.stdout)["state"] == "failed"
    assert json.loads(ended.stdout)["seconds"] == 2.0


def test_ctrl_c_cancels_the_job_and_writes_what_is_done(tag: Run, server: FakeServer, tmp_path: Path) -> None:
    server.answers["GET", JOB] = interrupted((200, job("running")))

    ended = tag("--json")

    assert ended.exit_code == 130, ended.stderr
    assert ("POST", f"{JOB}/cancel") in server.requests
    assert json.loads(ended.stdout)["state"] == "cancelled"
    assert (tmp_path / "in.tagged.csv").read_text(encoding="utf-8") == TABLE


def test_ctrl_c_during_the_upload_cancels_the_job_once_it_is_known(
    tag: Run, server: FakeServer, tmp_path: Path
) -> None:
    server.answers["POST", "/api/v1/jobs"] = interrupted((201, job("queued")))

    ended = tag()

    assert ended.exit_code == 130, ended.stderr
    assert server.requests[1] == ("POST", f"{JOB}/cancel")
    assert (tmp_path / "in.tagged.csv").exists()


def test_ctrl_c_again_does_not_wait_for_the_workers(tag: Run, server: FakeServer, tmp_path: Path) -> None:
    server.answers["GET", JOB] = interrupted((200, job("running")))
    server.answers["POST", f"{JOB}/cancel"] = (200, job("cancelling"))

    ended = tag()

    assert ended.exit_code == 130, ended.stderr
    assert (tmp_path / "in.tagged.csv").exists()


def test_ctrl_c_as_the_job_ends_by_itself_is_no_cancellation(tag: Run, server: FakeServer) -> None:
    asked = iter([interrupted((200, job("running"))), lambda: (200, job("completed"))])

    def answer() -> object:
        return next(asked)()

    server.answers["GET", JOB] = answer
    conflict = {"detail": "A job that is completed cannot be cancelled.", "code": "conflict"}
    server.answers["POST", f"{JOB}/cancel"] = (409, conflict)

    assert tag().exit_code == 0


def test_sigterm_is_as_orderly_as_ctrl_c(tag: Run, server: FakeServer, tmp_path: Path) -> None:
    def terminated() -> object:
        os.kill(os.getpid(), signal.SIGTERM)
        return (200, job("running"))

    before = signal.getsignal(signal.SIGTERM)
    server.answers["GET", JOB] = terminated

    assert tag().exit_code == 130
    assert (tmp_path / "in.tagged.csv").exists()
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_server_that_is_away_for_a_moment_is_waited_for(tag: Run, server: FakeServer) -> None:
    away = (503, {"detail": "The database did not answer.", "code": "unavailable"})
    server.script("GET", JOB, away, None, (200, job("running")), away, (200, job("completed")))
    server.script("GET", f"{JOB}/results.csv", None, (200, TABLE.encode()))

    ended = tag()

    assert ended.exit_code == 0, ended.stderr
    assert "The database did not answer. Trying again for 60 s." in ended.stderr


def test_a_server_that_stays_away_ends_it_with_where_to_find_the_job(
    tag: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "OUTAGE_S", 0.05)
    server.answers["GET", JOB] = lambda: None

    ended = tag("--json")

    assert (ended.exit_code, ended.stdout) == (5, "")
    assert f"yeban job download {JOB_ID}" in ended.stderr.splitlines()[-1]


def test_a_download_that_is_cut_off_leaves_the_old_file_alone(
    tag: Run, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "OUTAGE_S", 0.05)
    (tmp_path / "in.tagged.csv").write_text("old")
    server.answers["GET", f"{JOB}/results.csv"] = lambda: None

    assert tag().exit_code == 5
    assert (tmp_path / "in.tagged.csv").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["in.csv", "in.tagged.csv"]


def test_labels_in_square_brackets_are_shown_as_they_are(tag: Run, server: FakeServer) -> None:
    summary = {"labels": {"[售后]": 1, "[/]": 1, ":smile:": 0}, "seconds": 0.5}
    server.answers["GET", JOB] = (200, job("completed", summary=summary))

    shown = tag().stdout

    for label in ("[售后]", "[/]", ":smile:"):
        assert label in shown
