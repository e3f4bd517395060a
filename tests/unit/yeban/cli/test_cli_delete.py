"""Deleting jobs from the command line."""

from __future__ import annotations

from collections.abc import Callable

from click.testing import Result

from tests.unit.yeban.cli.conftest import JOB_ID, FakeServer

JOB = f"/api/v1/jobs/{JOB_ID}"
Run = Callable[..., Result]


def test_an_ended_job_is_deleted(run: Run, server: FakeServer) -> None:
    server.answers["DELETE", JOB] = (204, b"")
    result = run("job", "delete", JOB_ID, "--server", server.url)
    assert (result.exit_code, result.stdout) == (0, "Deleted.\n")
    assert server.requests == [("DELETE", JOB)]


def test_a_job_that_may_go_on_is_refused_with_the_servers_reason(run: Run, server: FakeServer) -> None:
    server.answers["DELETE", JOB] = (409, {"detail": "It is running; Cancel it first.", "code": "conflict"})
    result = run("job", "delete", JOB_ID, "--server", server.url)
    assert (result.exit_code, result.stdout) == (6, "")
    assert "Cancel it first" in result.stderr
