"""Values that PostgreSQL cannot store are refused in every form and cursor."""

from __future__ import annotations

import io
import re
import uuid

import pytest

from tests.fixtures.page_checker import form_fields
from web.http import pagination
from yeban.accounts.viewer import UNRESTRICTED
from yeban.webhooks import endpoints

SET = {"name": "售后", "labels": ["物流", "退款"]}
#: Percent-encoded: a NUL, a NUL inside a value, a lone surrogate, and invalid UTF-8.
STRANGE = ["%00", "a%00b", "%ED%A0%80", "%FF"]
#: Every field that a page's form has, and one that none has.
NAMES = [
    "author", "columns", "delimiter", "description", "do", "encoding", "examples", "expires_at", "file", "format",
    "gold_column", "id_column", "into", "label", "label_set", "labels", "lang", "language", "load", "model",
    "multi_label", "name", "over", "base", "password", "refine", "role", "row", "row-1", "rows", "saved", "shown",
    "sheet", "start", "start_at", "team", "template", "text", "text_column", "then", "theme", "threshold",
    "tonight_at", "url", "version", "x",
]  # fmt: skip
NUMBERS = [2**31 - 1, 2**31, 2**32, 2**63 - 1]


@pytest.fixture
def settings(settings):
    """A short deadline, since no worker runs."""
    return settings.model_copy(update={"interactive_deadline_ms": 100})


@pytest.fixture
def things(client, upload, tag, database):
    """An object for each variable of the routes."""
    job_id = upload(gold_column="label").json["id"]
    tag(job_id)
    with_file = {"file": (io.BytesIO(b"id,text\n1,a\n"), "a.csv")}
    draft = client.post("/upload", data=with_file, content_type="multipart/form-data").headers["Location"]
    return {
        "job_id": job_id,
        "draft_id": draft.rpartition("/")[2],
        "label_set_id": client.post("/api/v1/label-sets", json=SET).json["id"],
        "webhook_id": str(
            endpoints.create_webhook(database, "https://a.example/", private=True, viewer=UNRESTRICTED).webhook.id
        ),
        "delivery_id": str(uuid.uuid4()),
        "token_id": "1",
        "name": "a",
        "action": "pause",
    }


def _rank(path: str) -> tuple[bool, str]:
    """Sort routes that delete objects, and the one that turns a draft into a job, last."""
    return (path.count("/") == 2 and path.startswith("/upload/")) or path.endswith(("/delete", "/discard")), path


def _posted_to(app, things: dict[str, str]) -> list[str]:
    rules = [rule.rule for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())]
    pages = [rule for rule in rules if not rule.startswith("/api/") and not rule.endswith("/test")]
    filled = [re.sub(r"<(?:.*?:)?(\w+)>", lambda found: things[found[1]], rule) for rule in pages]
    return sorted(filled, key=_rank)


def _honest(client, path: str) -> dict[str, str]:
    """Return the fields that a browser would send."""
    if path.startswith("/upload/"):
        form = form_fields(client.get("/upload/" + path.split("/")[2]).text, "draft")
        return {**form, "labels": "物流,退款", "rows": "1"}
    if path == "/label-sets/new" or path.endswith("/edit"):
        return {"name": "新", "label": "物流", "version": "1", "template": "这是{}"}
    return {"labels": "物流,退款", "text": "包裹", "template": "这是{}"}


def test_strange_values_in_every_form(app, client, things):
    paths = _posted_to(app, things)
    assert len(paths) > 25
    token = re.search(r'"X-CSRF-Token": "([^"]+)"', client.get("/").text)[1]
    failed = []

    def send(path: str, body: str) -> None:
        response = client.open(
            path,
            method="POST",
            data=body,
            content_type="application/x-www-form-urlencoded",
            headers={"X-CSRF-Token": token},
        )
        if response.status_code >= 500 and response.status_code not in {502, 503, 504}:
            failed.append((path, body[:200], response.status_code))

    honest_forms = {path: _honest(client, path) for path in paths}
    for path, honest in honest_forms.items():
        for value in STRANGE:
            send(path, "&".join(f"{name}={value}" for name in NAMES))
            send(path, "&".join(f"{value}{name}={value}" for name in NAMES))
        for name in {*honest, "model", "into", "label_set"}:
            others = "&".join(f"{key}={value}" for key, value in honest.items() if key != name)
            send(path, f"{others}&{name}=a%00b")
    assert failed == []


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    ("kind", "route"),
    [
        ("jobs", "/api/v1/jobs"),
        ("jobs", "/jobs"),
        ("label sets", "/api/v1/label-sets"),
        ("label sets", "/label-sets"),
        ("versions", "/api/v1/label-sets/{label_set_id}/versions"),
        ("rows", "/api/v1/jobs/{job_id}/results"),
        ("corrections", "/api/v1/jobs/{job_id}/corrections"),
        ("confused", "/jobs/{job_id}/accuracy/rows?gold=0&predicted=1"),
        ("deliveries", "/api/v1/webhooks/{webhook_id}/deliveries"),
        ("deliveries", "/webhooks/{webhook_id}"),
    ],
)
def test_a_cursor_may_have_any_number(client, things, number, kind, route):
    path = route.format(**things)
    response = client.get(f"{path}{'&' if '?' in path else '?'}cursor={pagination.encode(kind, number)}")
    assert response.status_code == 200, response.text
