"""Correcting rows and refining again from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from tests.unit.yeban.cli.conftest import JOB_ID, FakeServer, job
from yeban.cli import jobs

JOB = f"/api/v1/jobs/{JOB_ID}"
Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_POLL_S", 0.01)


@pytest.fixture
def correct(run: Run, server: FakeServer) -> Run:
    answer = {"stored": 2, "removed": 0, "job": job("completed", corrections=7)}
    server.answers["PUT", f"{JOB}/corrections"] = (200, answer)

    def correct(*arguments: object) -> Result:
        return run("job", "correct", JOB_ID, "--server", server.url, *arguments)

    return correct


@pytest.mark.parametrize(
    ("arguments", "labels"),
    [
        (("--label", "甲"), ["甲"]),
        (("--label", "甲", "--label", "乙"), ["甲", "乙"]),
        (("--none",), []),
        (("--undo",), None),
    ],
)
def test_each_row_gets_what_was_said(
    correct: Run, server: FakeServer, arguments: tuple[str, ...], labels: list[str] | None
) -> None:
    ended = correct("--row", 3, "--row", 5, *arguments, "--author", "小王")

    assert ended.exit_code == 0, ended.stderr
    items = [{"row": 3, "labels": labels}, {"row": 5, "labels": labels}]
    assert json.loads(server.bodies[0]) == {"corrections": items, "author": "小王"}
    assert ended.stdout == "2 stored, 0 undone; corrected rows of the job: 7.\n"


def test_json_is_the_answer_of_the_api(correct: Run) -> None:
    assert json.loads(correct("--row", 3, "--none", "--json").stdout)["job"]["corrections"] == 7


@pytest.mark.parametrize(
    "arguments",
    [
        ("--row", 3),
        ("--row", 3, "--none", "--undo"),
        ("--row", 3, "--label", "甲", "--none"),
        ("--label", "甲"),
        ("--row", "x", "--label", "甲"),
    ],
)
def test_it_must_be_clear_what_is_meant(correct: Run, server: FakeServer, arguments: tuple[object, ...]) -> None:
    ended = correct(*arguments)

    assert ended.exit_code == 2
    assert ended.stderr.startswith("yeban: ")
    assert server.requests == []


def test_what_the_server_refuses_is_told(correct: Run, server: FakeServer) -> None:
    problem = {"detail": "The job has no row 9; its rows are 1 to 2.", "code": "invalid_request"}
    server.answers["PUT", f"{JOB}/corrections"] = (422, problem)

    ended = correct("--row", 9, "--none")

    assert (ended.exit_code, ended.stderr) == (2, "yeban: The job has no row 9; its rows are 1 to 2.\n")


def test_refine_asks_and_returns_at_once(run: Run, server: FakeServer) -> None:
    server.answers["POST", f"{JOB}/refine"] = (202, job("finishing"))

    ended = run("job", "refine", JOB_ID, "--server", server.url, "--json")

    assert ended.exit_code == 0, ended.stderr
    assert json.loads(ended.stdout)["state"] == "finishing"
    assert server.requests == [("POST", f"{JOB}/refine")]


def test_refine_can_wait_for_what_comes_of_it(run: Run, server: FakeServer) -> None:
    refined = {"state": "done", "changed": 1, "seconds": 0.5, "moves": []}
    server.answers["POST", f"{JOB}/refine"] = (202, job("finishing"))
    finishing = (200, job("finishing"))
    server.script("GET", JOB, finishing, finishing, (200, job("completed", refinement=refined)))

    ended = run("job", "refine", JOB_ID, "--wait", "--server", server.url)

    assert ended.exit_code == 0, ended.stderr
    assert "Refined over the whole file: 1 rows changed their label." in ended.stdout
    assert server.requests.count(("GET", JOB)) == 3


def test_a_job_that_cannot_be_refined_is_a_conflict(run: Run, server: FakeServer) -> None:
    problem = {"detail": "This job kept no embeddings.", "code": "conflict"}
    server.answers["POST", f"{JOB}/refine"] = (409, problem)

    ended = run("job", "refine", JOB_ID, "--wait", "--server", server.url)

    assert (ended.exit_code, ended.stderr) == (6, "yeban: This job kept no embeddings.\n")
