"""``yeban up``, and the commands that talk to it."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Yeban
from tests.fixtures.waiting import wait_until
from yeban.settings import Settings

LABELS = "物流配送,退款退货,发票"
LATER = ("--start-at", "2999-01-01T00:00:00+00:00")


@pytest.fixture(scope="module")
def source(up: Yeban) -> Path:
    path = up.work_dir / "三条.csv"
    path.write_text("id,text\n1,包裹三天没动了\n2,\n3,=怎么开发票\n", encoding="utf-8")
    return path


@pytest.fixture
def url(up: Yeban) -> str:
    found = up.running_url()
    assert found
    return found


@pytest.fixture(scope="module")
def tagged_job(up: Yeban, source: Path) -> dict[str, Any]:
    """A job that has come to its end; its second row has no text."""
    created = up.json("job", "submit", source, "--labels", LABELS, "--text-column", "text")
    # It is looked at anew for the answer, and may have ended by then.
    assert created["state"] in {"queued", "running", "finishing", "completed_with_errors"}

    def ended() -> Any:
        job = up.json("job", "status", created["id"])
        return job["state"].startswith("completed") and job

    return wait_until(ended, timeout_s=180, what="the end of the job")


def test_a_job_is_submitted_listed_and_shown(up: Yeban, tagged_job: dict[str, Any]) -> None:
    assert tagged_job["state"] == "completed_with_errors"
    assert tagged_job["progress"]["ok"] == 2
    listed = up.run("job", "list", "--state", "completed_with_errors")
    shown = up.run("job", "status", tagged_job["id"])
    assert listed.returncode == shown.returncode == 0
    assert tagged_job["id"] in listed.stdout
    assert "三条.csv" in listed.stdout
    assert "3 rows, 2 tagged, 1 errors" in shown.stdout
    assert [job["id"] for job in up.json("job", "list")["jobs"]].count(tagged_job["id"]) == 1


def test_a_job_is_downloaded_in_each_format(up: Yeban, tagged_job: dict[str, Any]) -> None:
    for name in ("out.csv", "out.xlsx", "out.jsonl"):
        ended = up.run("job", "download", tagged_job["id"], "-o", name)
        assert (ended.returncode, ended.stdout) == (0, f"{name}\n"), ended.stderr
    with (up.work_dir / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["yeban_status"] for row in rows] == ["ok", "error", "ok"]
    assert rows[1]["yeban_label"] == ""
    assert rows[2]["text"] == "'=怎么开发票", "a spreadsheet must not take it for a formula"
    records = [json.loads(line) for line in (up.work_dir / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [record["yeban_status"] for record in records] == ["ok", "error", "ok"]
    assert (up.work_dir / "out.xlsx").read_bytes().startswith(b"PK")


def test_errors_are_downloaded_with_their_reasons(up: Yeban, tagged_job: dict[str, Any]) -> None:
    ended = up.run("job", "download", tagged_job["id"], "--errors", "-o", "errors.csv")

    assert ended.returncode == 0, ended.stderr
    with (up.work_dir / "errors.csv").open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["file_row"] == "3"
    assert row["reason"]


def test_a_job_is_paused_resumed_and_cancelled(up: Yeban, source: Path, url: str) -> None:
    ended = up.run("job", "submit", source, "--labels", LABELS, *LATER, "--server", url)
    identifier = ended.stdout.strip()

    assert up.json("job", "pause", identifier)["state"] == "paused"
    assert up.json("job", "resume", identifier, "--server", url)["state"] == "scheduled"
    assert up.json("job", "cancel", identifier)["state"] == "cancelled"
    refused = up.run("job", "pause", identifier)
    assert refused.returncode == 6
    assert refused.stderr.startswith("yeban: ")
    assert "cancelled" in refused.stderr


def test_submitting_twice_under_one_key_makes_one_job(up: Yeban, source: Path) -> None:
    command = ("job", "submit", source, "--labels", LABELS, "--idempotency-key", "once", *LATER)

    assert up.json(*command)["id"] == up.json(*command)["id"]


def test_an_unknown_job_is_refused(up: Yeban) -> None:
    ended = up.run("job", "status", "00000000-0000-0000-0000-000000000000")

    assert ended.returncode == 6
    assert ended.stderr == (
        "yeban: The job 00000000-0000-0000-0000-000000000000 does not exist, or you do not have access to it. To "
        "see a colleague's job, ask them to add you to their team.\n"
    )


def test_a_text_is_classified_by_the_server_found_and_by_the_one_named(up: Yeban, url: str, yeban: Yeban) -> None:
    command = ("classify", "怎么开发票", "--labels", LABELS)

    assert up.json(*command)["label"] == "发票"
    assert yeban.json(*command, "--server", url)["label"] == "发票"
    assert yeban.json(*command, YEBAN_SERVER=url)["label"] == "发票"
    shown = up.run(*command, LC_ALL="C")
    assert shown.returncode == 0, shown.stderr
    assert "发票" in shown.stdout


def test_tag_uses_the_server_that_runs(up: Yeban, source: Path) -> None:
    ended = up.run("tag", source, "--labels-file", _labels_file(up), "--multi-label", "-o", "tagged.jsonl", "--json")

    assert ended.returncode == 3, ended.stderr
    assert json.loads(ended.stdout)["errors"] == 1
    identifier = json.loads(ended.stdout)["job"]
    assert up.json("job", "status", identifier)["labels"][0]["description"] == "包裹、快递"


def test_a_job_gives_way_to_single_texts(up: Yeban, url: str) -> None:
    """The kernel goes by the session where sessions share time, and by the process elsewhere."""
    pids = {worker["role"]: worker["pid"] for worker in httpx.get(f"{url}/api/v1/workers").json()["workers"]}
    bulk, interactive = (os.getpriority(os.PRIO_PROCESS, pids[role]) for role in ("bulk", "interactive"))
    assert bulk == interactive + Settings.model_fields["bulk_nice"].default > interactive
    session = Path("/proc", str(pids["bulk"]), "autogroup")
    if session.exists():
        assert session.read_text(encoding="ascii").split()[-1] == str(bulk)


def test_a_second_up_says_who_owns_the_data_directory(up: Yeban) -> None:
    ended = up.run("up", "--port", "0")

    assert ended.returncode == 2
    assert "already uses the bundled servers" in ended.stderr


def test_up_says_that_its_port_is_taken(url: str, yeban: Yeban) -> None:
    port = url.rpartition(":")[2]

    ended = yeban.run("up", "--port", port)

    assert ended.returncode == 5
    assert f"Cannot use port {port} of 127.0.0.1" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_doctor_finds_the_running_servers(up: Yeban, url: str) -> None:
    report = up.json("doctor")

    states = {finding["what"]: finding["state"] for finding in report["findings"]}
    assert report["ok"]
    assert {states[name] for name in ("PostgreSQL", "Redis", "workers", "web", "engine", "model e5-small")} == {"ok"}
    assert url in [finding["detail"] for finding in report["findings"]]


def test_migrating_a_running_server_is_harmless(up: Yeban) -> None:
    assert up.run("migrate").returncode == 0
    wrong = up.run("migrate", "--revision", "none-such")
    assert wrong.returncode == 2
    assert "none-such" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_doctor_without_servers_says_how_to_start_them(yeban: Yeban) -> None:
    ended = yeban.run("doctor")

    assert ended.returncode == 0, ended.stdout
    assert "not running; `yeban up` starts them" in ended.stdout


def test_a_folder_of_the_same_name_does_not_replace_our_programs(yeban: Yeban) -> None:
    for name in ("worker", "web"):
        (yeban.work_dir / name).mkdir()
        (yeban.work_dir / name / "__init__.py").write_text("raise SystemExit('hijacked')", encoding="utf-8")

    ended = yeban.run("models", "list")

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("e5-small")


def test_a_model_that_cannot_be_built_has_the_documented_status(yeban: Yeban) -> None:
    ended = yeban.run("models", "build", "none-such")

    assert ended.returncode == 2
    assert "none-such" in ended.stderr
    assert "Traceback" not in ended.stderr


def _labels_file(up: Yeban) -> Path:
    path = up.work_dir / "labels.json"
    labels = [{"name": "物流配送", "description": "包裹、快递", "examples": ["快递到哪了"]}, "退款退货", "发票"]
    path.write_text(json.dumps(labels, ensure_ascii=False), encoding="utf-8")
    return path
