"""The API does what its description says, whatever is sent that fits the description or nearly does."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.engine.run import PhaseName
from werkzeug.serving import make_server

from tests.fixtures.browser_client import token_of
from tests.fixtures.waiting import wait_until
from web.openapi.document import build
from web.shell.api_docs import samples
from web.shell.api_docs.samples import Operation
from yeban.accounts import people, tokens
from yeban.accounts.viewer import Viewer
from yeban.database.engine import Database
from yeban.webhooks import endpoints
from yeban.webhooks.sender import Answer

CSV = "id,text,label\n1,包裹三天没动了,物流\n2,退款一直没到账,退款\n3,,退款\n4,怎么开发票,发票\n"
#: The same requests each time. Time goes with the examples: these take less than a minute.
CONFIG = {
    "seed": 1,
    "continue-on-failure": True,
    "generation": {"deterministic": True, "max-examples": 40, "database": "none"},
}
_GIVEN_OUT = "a cursor fits only the list that gave it out"
#: Checks that would fail where the API is right, by operation, and why.
UNSUITED = {
    ("classify_text", "positive_data_acceptance"): "a template has {} once, and models and labels have limits together",
    ("create_job", "positive_data_acceptance"): "a schema cannot say what is a table, or which columns it has",
    ("correct", "positive_data_acceptance"): "labels are those of the job, and each row is given once",
    ("create_label_set", "positive_data_acceptance"): "a template has {} once, and each label its own name",
    ("save_label_set", "positive_data_acceptance"): "a template has {} once, and each label its own name",
    ("create_webhook", "positive_data_acceptance"): "many a string is no URL",
    ("ready", "not_a_server_error"): "503 is how it tells that something is missing",
    ("index_label_sets", "positive_data_acceptance"): _GIVEN_OUT,
    ("list_label_set_versions", "positive_data_acceptance"): _GIVEN_OUT,
    ("list_deliveries", "positive_data_acceptance"): _GIVEN_OUT,
    ("index_jobs", "positive_data_acceptance"): _GIVEN_OUT,
    ("list_results", "positive_data_acceptance"): _GIVEN_OUT,
    ("list_corrections", "positive_data_acceptance"): _GIVEN_OUT,
}
CHECKED = {
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "positive_data_acceptance",
    "unsupported_method",
}


@pytest.fixture
def jobs(upload, tag, client) -> list[str]:
    """Jobs in several states; the first ones have ended."""
    found = [upload().json["id"] for _ in range(4)]
    for job_id in found[:2]:
        tag(job_id)
    client.post(f"/api/v1/jobs/{found[2]}/pause")
    return found


@pytest.fixture
def nothing_sent(monkeypatch) -> None:
    """Webhooks are made of whatever is drawn; no test message leaves the machine for one."""

    def send(database: Database, webhook_id: uuid.UUID, *, viewer: Viewer, **_: Any) -> Answer:
        endpoints.get_webhook(database, webhook_id, viewer=viewer)
        return Answer(status=204, failure=None, seconds=0.01)

    monkeypatch.setattr("web.webhooks.test_message.send_test", send)


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_sent")
def test_it_answers_as_described_to_whatever_is_sent(make_app, start_worker, live_worker, jobs):
    live_worker("interactive")
    live_worker("bulk")
    start_worker()
    app = make_app()
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app, config=SchemathesisConfig.from_dict(CONFIG))

    @schema.hook
    def map_path_parameters(context: Any, path_parameters: dict[str, Any]) -> dict[str, Any]:
        """Ask for jobs that there are, and leave the first to be asked for when others were deleted."""
        if path_parameters and "job_id" in path_parameters:
            some = jobs[1:] if context.operation.method == "delete" else jobs
            path_parameters["job_id"] = some[_number(path_parameters["job_id"]) % len(some)]
        return path_parameters

    sent, checked, failures = Counter[PhaseName](), set[str](), dict[tuple[str, str], str]()
    for event in from_schema(schema).execute():
        assert not isinstance(event, events.FatalError | events.NonFatalError), event
        if isinstance(event, events.ScenarioFinished):
            sent[event.phase] += len(event.recorder.cases)
            for case_id, checks in event.recorder.checks.items():
                operation = event.recorder.cases[case_id].value.operation.definition.raw["operationId"]
                checked |= {check.name for check in checks}
                for check in checks:
                    if check.failure_info is not None and (operation, check.name) not in UNSUITED:
                        failures[operation, check.name] = (
                            f"{check.failure_info.failure.message[:1000]} {check.failure_info.code_sample[:1000]}"
                        )
    assert failures == {}
    assert checked >= CHECKED
    for phase in (PhaseName.COVERAGE, PhaseName.FUZZING, PhaseName.STATEFUL_TESTING):
        assert sent[phase] > 50, sent


def _number(job_id: Any) -> int:
    try:
        return uuid.UUID(str(job_id)).int
    except ValueError:
        return 0


@pytest.fixture
def served(make_app, start_worker, live_worker) -> Iterator[tuple[str, dict[str, Operation]]]:
    """The address of a real server, and the operations it has."""
    live_worker("interactive")
    live_worker("bulk")
    start_worker()
    app = make_app()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield (
        f"http://127.0.0.1:{server.server_port}",
        {operation.name: operation for operation in samples.operations(build(app))},
    )
    server.shutdown()
    thread.join(60)
    server.server_close()


@pytest.fixture
def run(served, tmp_path) -> Callable[..., str]:
    """Run an operation's sample as a reader would, beside the file that it hands in; another job's id put in."""
    address, operations = served
    (tmp_path / samples.FILE_NAME).write_text(CSV, encoding="utf-8")

    def run_sample(name: str, language: str, job_id: str = "") -> str:
        sample = {"curl": samples.curl, "python": samples.python}[language](operations[name], address, with_token=True)
        sample = sample.replace(samples.EXAMPLE_UUID, job_id)
        command = (
            [sys.executable, "-c", sample] if language == "python" else ["sh", "-ec", sample.replace(" -s ", " -sf ")]
        )
        environment = {**os.environ, "YEBAN_TOKEN": "yeban_none", "PYTHONIOENCODING": "utf-8"}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run_sample


@pytest.mark.parametrize("language", ["curl", "python"])
def test_the_samples_do_what_they_say(run, language, client, tag, tmp_path):
    if language == "curl" and shutil.which("curl") is None:
        pytest.skip("there is no curl")
    read = json.loads if language == "curl" else ast.literal_eval
    assert read(run("classify_text", language))["label"] == "物流"
    job = read(run("create_job", language))
    assert [label["name"] for label in job["labels"]] == ["物流", "退款", "发票"]
    assert (job["source"]["name"], job["gold_column"]) == (samples.FILE_NAME, "label")
    assert read(run("create_job", language))["id"] == job["id"]
    assert read(run("pause_job", language, job["id"]))["state"] == "paused"
    assert read(run("resume_job", language, job["id"]))["state"] == "queued"
    tag(job["id"])
    assert read(run("show_job", language, job["id"]))["state"] == "completed_with_errors"
    assert next(row["labels"] for row in read(run("list_results", language, job["id"]))["rows"]) == ["物流"]
    assert read(run("correct", language, job["id"]))["stored"] == 2
    run("download_csv", language, job["id"])
    assert (tmp_path / "results.csv").read_text(encoding="utf-8-sig").startswith("id,text,label,yeban_label")
    run("remove_job", language, job["id"])
    assert client.get(f"/api/v1/jobs/{job['id']}").status_code == 404
    assert read(run("index_jobs", language))["jobs"] == []
    assert read(run("list_models", language))["default"] == "e5-small"


@pytest.mark.parametrize("language", ["curl", "python"])
def test_a_file_becomes_a_tagged_file(served, language, tag, tmp_path, monkeypatch, work):
    """The file is handed in, its job is looked at while it runs and after, and the result is fetched."""
    if language == "curl" and shutil.which("curl") is None:
        pytest.skip("there is no curl")
    monkeypatch.setattr(samples, "PAUSE_S", 0.2)
    address, _ = served
    (tmp_path / samples.FILE_NAME).write_text(CSV, encoding="utf-8")
    command = (
        ["sh", "-ec", samples.program("upload.sh.txt", address, with_token=True)]
        if language == "curl"
        else [sys.executable, "-c", samples.program("upload.py.txt", address, with_token=True)]
    )
    environment = {**os.environ, "YEBAN_TOKEN": "yeban_none", "PYTHONIOENCODING": "utf-8"}

    def tag_what_comes() -> None:
        tag(str(wait_until(lambda: work.column("SELECT public_id FROM job"), what="a job")[0]))

    tagging = threading.Thread(target=tag_what_comes)
    tagging.start()
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    tagging.join()
    assert done.returncode == 0, done.stderr
    assert (tmp_path / samples.RESULT_NAME).read_text(encoding="utf-8-sig").startswith("id,text,label,yeban_label")


def test_the_page_shows_every_operation_schema_and_code(client):
    page = client.get("/docs/api")
    assert page.status_code == 200
    document = client.get("/api/v1/openapi.json").json
    ids = re.findall(r'id="([^"]+)"', page.text)
    assert len(set(ids)) == len(ids)
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["operationId"] in ids
    assert {f"schema-{name}" for name in document["components"]["schemas"]} <= set(ids)
    assert {
        f"code-{code}" for code in document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    } <= set(ids)
    assert set(re.findall(r'href="#([^"]+)"', page.text)) <= set(ids)
    assert "curl -s http://localhost/api/v1/classify" in page.text
    assert 'href="/api/v1/openapi.json"' in page.text
    assert not re.search(r"<script(?! src)| style=| on\w+=", page.text)


def test_the_pages_head_leads_to_it(client):
    assert '<a href="/docs/api">' in client.get("/jobs").text


def test_with_accounts_the_page_is_for_those_who_are_signed_in_and_its_samples_have_a_token(make_app, database):
    app = make_app(accounts=True)
    account = people.create_account(database, "wang", "correct horse battery", role=people.Role.MEMBER)
    _, secret = tokens.create_token(database, account, "sample")
    client = app.test_client()
    assert client.get("/docs/api").status_code == 303
    refused = client.get("/api/v1/openapi.json")
    assert (refused.status_code, refused.json["code"]) == (401, "unauthorized")
    assert client.get("/api/v1/openapi.json", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    headers = {"X-CSRF-Token": token_of(client.get("/sign-in").text)}
    client.post("/sign-in", data={"name": "wang", "password": "correct horse battery"}, headers=headers)
    page = client.get("/docs/api").text
    assert "Authorization: Bearer $YEBAN_TOKEN" in page
    assert secret not in page
