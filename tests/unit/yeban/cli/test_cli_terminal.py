"""What is shown, and where."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

from click.testing import CliRunner, Result
from rich.console import Console

from tests.unit.yeban.cli.conftest import JOB_ID, Answer, FakeServer, job
from yeban.cli import main
from yeban.cli.progress import Following
from yeban.client import Client

Run = Callable[..., Result]


def test_a_terminal_sees_a_bar_and_what_the_job_waits_for(run: Run, server: FakeServer, table: Path) -> None:
    shown = io.StringIO()

    def answer() -> Answer:
        """The next state, once the one before has been seen: the bar is drawn ten times a second."""
        if "Paused by someone" not in shown.getvalue():
            return 200, job("paused")
        return 200, job("completed" if shown.getvalue().rpartition("Paused")[2].count("Tagging") else "running")

    server.answers["GET", f"/api/v1/jobs/{JOB_ID}"] = answer
    with Client(server.url) as client:
        following = Following(client, Console(file=shown, force_terminal=True, width=100), lambda: None)
        following.upload(table, {})
        assert following.follow()["state"] == "completed"

    for text in ("Reading the file…", "Paused by someone", "Tagging", "4 rows/s", "2/2"):
        assert text in shown.getvalue()


def test_elsewhere_there_are_lines_without_control_characters(run: Run, server: FakeServer, table: Path) -> None:
    ended = run("tag", table, "--labels", "a", "--server", server.url)

    assert ended.stderr == "Starting…\nReading the file…\nWriting…\n"
    assert "\x1b" not in ended.stdout


def test_json_survives_a_standard_output_that_is_not_utf_8(run: Run, server: FakeServer) -> None:
    server.answers["GET", "/api/v1/jobs"] = (200, {"jobs": [job(source={"name": "工单.csv"})]})

    ended = CliRunner(charset="ascii").invoke(main, ["job", "list", "--server", server.url, "--json"])

    assert json.loads(ended.stdout)["jobs"][0]["source"]["name"] == "工单.csv"


def test_a_table_on_an_ascii_terminal_is_no_traceback(run: Run, server: FakeServer) -> None:
    server.answers["GET", "/api/v1/jobs"] = (200, {"jobs": [job(source={"name": "工单.csv"})]})

    ended = CliRunner(charset="ascii").invoke(main, ["job", "list", "--server", server.url])

    assert ended.exit_code == 0, ended.stderr
    assert JOB_ID in ended.stdout


def test_an_id_is_never_broken_over_lines(run: Run, server: FakeServer) -> None:
    long = job(source={"name": "a very long name " * 20 + "[x].csv"})
    server.answers["GET", "/api/v1/jobs"] = (200, {"jobs": [long]})

    ended = run("job", "list", "--server", server.url)

    assert ended.stdout.count(JOB_ID) == 1
    assert "[x].csv" in ended.stdout


def test_jobs_are_asked_for_by_state_and_by_a_part_of_their_files_name(run: Run, server: FakeServer) -> None:
    server.answers["GET", "/api/v1/jobs"] = (200, {"jobs": []})

    ended = run("job", "list", "--state", "paused", "--name", "十一 & co", "--limit", "5", "--server", server.url)

    assert ended.exit_code == 0, ended.stderr
    assert parse_qs(server.queries[-1]) == {"limit": ["5"], "state": ["paused"], "name": ["十一 & co"]}


def test_status_shows_progress_and_why_a_job_failed(run: Run, server: FakeServer) -> None:
    server.answers["GET", f"/api/v1/jobs/{JOB_ID}"] = (200, job("failed", error="The model [x] is gone."))

    ended = run("job", "status", JOB_ID, "--server", server.url)

    assert ended.exit_code == 0, ended.stderr
    assert "Failed: 2 rows, 1 tagged" in ended.stdout
    assert "The model [x] is gone." in ended.stdout


def test_classify_shows_bars_and_reads_standard_input(run: Run, server: FakeServer) -> None:
    answer = {
        "label": "[a]",
        "labels": ["[a]", "b"],
        "scores": [0.75, 0.25],
        "assigned": ["[a]"],
        "model": {"name": "e5-small", "precision": "int8"},
        "timing": {"total_ms": 9.0, "queue_ms": 1.0, "inference_ms": 5.0},
    }
    server.answers["POST", "/api/v1/classify"] = (200, answer)

    ended = run("classify", "-", "--labels", "[a],b", "--server", server.url, input="包裹\n")

    assert ended.exit_code == 0, ended.stderr
    assert "✓  [a]  75.0%" in ended.stdout
    assert json.loads(server.bodies[0])["text"] == "包裹\n"
    printed = run("classify", "包裹", "--labels", "[a],b", "--server", server.url, "--json").stdout
    assert json.loads(printed) == answer
