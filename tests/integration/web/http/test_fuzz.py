"""Random requests to every route get documented answers, without unexpected errors."""

from __future__ import annotations

import io
import json
import logging
import re
import time
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from tests.fixtures.browser_client import token_of
from tests.fixtures.properties import examples
from web.http import pagination
from yeban.labels import LabelSet
from yeban.tabular import write_table

#: Expected errors of the server: the model failed, Redis is unreachable, no worker answered.
EXPECTED_5XX = {502, 503, 504}
ANSWER_S = 30.0
CSV = b"id,text,label\n1,a,x\n2,,y\n3,c,x\n"
XLSX = b"".join(write_table("xlsx", ["id", "text"], [["1", "a"], ["2", "b"]]))
JSONL = b'{"text": "a"}\n{"text": "b", "more": [1]}\n'

STRANGE = st.sampled_from([
    "", " ", "\x00", "\n", "\t", "a" * 5_000, "{}", "{", "]", "'", '"', "%", "%00", "\\", "#1", "#0", "-1", "0",
    "1e999", "nan", "None", "null", "true", "1" * 400,
    "٣", "²", "𝟜", "\ud800", "\ufeff", "\u202e", "../../x", "物流", "一,二",
])  # fmt: skip
TEXT = STRANGE | st.text(max_size=30)
NUMBER = st.integers() | st.floats() | st.sampled_from([2**31, 2**63, -(2**63), 10**400, 0, 1, 5])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
LABELS = st.sampled_from(["物流,退款", ["物流", "退款"], [{"name": "a", "examples": ["b"]}, "c"], ["a|b", "c"]])
CLASSIFY = st.fixed_dictionaries(
    {"text": TEXT, "labels": LABELS | JSON},
    optional={
        "template": TEXT | JSON,
        "multi_label": st.booleans() | JSON,
        "threshold": NUMBER | JSON,
        "model": TEXT,
        "x": JSON,
    },
)
CORRECTIONS = st.fixed_dictionaries(
    {
        "corrections": st.lists(
            st.fixed_dictionaries(
                {"row": st.integers(-1, 5) | NUMBER | JSON},
                optional={"labels": st.lists(st.sampled_from(["物流", "退款", "x"]), max_size=3) | JSON, "x": JSON},
            ),
            max_size=4,
        )
        | JSON
    },
    optional={"author": TEXT | JSON},
)
LABEL_SET = st.fixed_dictionaries(
    {"labels": LABELS | JSON},
    optional={
        "name": TEXT | st.sampled_from(["售后", "set"]) | JSON,
        "version": st.just(1) | NUMBER | JSON,
        "template": TEXT | JSON,
        "multi_label": st.booleans() | JSON,
        "threshold": NUMBER | JSON,
        "x": JSON,
    },
)
WEBHOOK = st.fixed_dictionaries(
    {
        "url": TEXT
        | JSON
        | st.sampled_from([
            "https://example.com/h", "http://example.com", "https://user:p@example.com", "https://[::1]/", "https://[",
            "https://10.0.0.1", "https://169.254.169.254/x", "https://①.com", "https://example.com:99999", "ftp://x",
        ])
    },
    optional={"x": JSON},
)  # fmt: skip
#: What a route's last part wants as JSON.
BODIES = {
    "classify": CLASSIFY, "corrections": CORRECTIONS, "label-sets": LABEL_SET, "{label_set_id}": LABEL_SET,
    "webhooks": WEBHOOK,
}  # fmt: skip
FIELDS = [
    "labels", "template", "multi_label", "threshold", "model", "text_column", "gold_column", "format", "encoding",
    "delimiter", "sheet", "start_at", "expires_at", "refine", "key", "text", "skip", "row", "row-1", "row-2", "x",
    "start", "tonight_at", "columns", "id_column", "rows", "name", "version", "url", "base", "do", "label",
    "description", "examples", "into", "over",
]  # fmt: skip
FIELD_VALUE = TEXT | st.sampled_from([
    "物流,退款", '["a", "b"]', "text", "id", "#2", "csv", "xlsx", "jsonl", "gb18030", "utf-16", "utf-7", "tab", "none",
    "1", "2030-01-01T00:00:00Z", "2999-12-31T23:59:59-23:59", "2000-01-01T00:00:00+23:59", "2026-11-22T22:00",
    "0.5", "e5-small",
])  # fmt: skip
FORM = st.dictionaries(st.sampled_from(FIELDS) | TEXT, st.lists(FIELD_VALUE, min_size=1, max_size=3), max_size=5)
QUERY = st.lists(
    st.tuples(
        st.sampled_from(["limit", "cursor", "state", "status", "skip", "bom", "guard", "page", "x"]) | TEXT,
        FIELD_VALUE
        | st.builds(
            pagination.encode, st.sampled_from(["jobs", "results", "corrections", "x"]), st.integers(0, 2**63 - 1)
        ),
    ),
    max_size=3,
)
HEADER = st.sampled_from([
    "Idempotency-Key", "X-Request-ID", "Accept", "Accept-Language", "Range", "If-None-Match", "Origin",
    "Content-Encoding", "X-Forwarded-For", "Cookie", "Sec-Fetch-Site",
])  # fmt: skip
HEADERS = st.dictionaries(HEADER, TEXT.map(lambda text: re.sub(r"[^\x20-\xff]", "", text)), max_size=3)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes with some changed, removed, inserted or doubled."""
    changed = bytearray(whole)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, max(0, len(changed) - 1)))
        match draw(st.sampled_from(["set", "cut", "insert", "splice", "end"])):
            case "set" if changed:
                changed[at] = draw(st.integers(0, 255))
            case "cut":
                del changed[at : at + draw(st.integers(1, 40))]
            case "insert":
                changed[at:at] = draw(st.binary(max_size=9))
            case "splice":
                changed[at:at] = changed[draw(st.integers(0, at)) :][:60]
            case "end":
                del changed[at:]
    return bytes(changed)


def _routes(app: Any) -> list[tuple[str, str]]:
    found = []
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            path = rule.rule.replace("<any(cancel, pause, resume):action>", "{action}")
            found.append((method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)))
    return sorted(found)


def _path(data: Any, route: str, ids: dict[str, str]) -> str:
    path = route.replace("{action}", data.draw(st.sampled_from(["pause", "resume", "cancel", "explode"])))
    for name in re.findall(r"\{(\w+)\}", path):
        there = ids.get(name, ids["job_id"])
        some_id = st.sampled_from(sorted(ids.values())) | st.uuids().map(str)
        some_id |= st.sampled_from(["0", "1", "%00", "..", there.upper(), "%ff"])
        path = path.replace(f"{{{name}}}", data.draw(st.just(there) | some_id))
    return path


def _body(data: Any, route: str) -> dict[str, Any]:
    """A body of any kind, mostly the kind that the route expects."""
    kind = data.draw(st.sampled_from(["json", "json", "form", "file", "bytes", "none"]))
    if kind == "json":
        wanted = BODIES.get(route.rpartition("/")[2], JSON)
        whole = json.dumps(data.draw(wanted)).encode()
        return {"data": data.draw(damaged(whole)) or whole, "content_type": "application/json"}
    if kind == "none":
        return {}
    if kind == "bytes":
        types = [
            "application/json",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded",
            "text/csv",
            "\x7f",
        ]
        raw = data.draw(
            st.binary(max_size=80) | damaged(b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nv\r\n--x--')
        )
        return {"data": raw, "content_type": data.draw(st.sampled_from(types))}
    form: dict[str, Any] = {
        re.sub("[\ud800-\udfff]", "?", name): [re.sub("[\ud800-\udfff]", "?", value) for value in values]
        for name, values in data.draw(FORM).items()
    }
    if kind == "form":
        return {"data": form}
    form.setdefault("labels", ["物流,退款"])
    content, name = data.draw(st.sampled_from([(CSV, "a.csv"), (XLSX, "a.xlsx"), (JSONL, "a.jsonl")]))
    form["file"] = [
        (io.BytesIO(data.draw(damaged(content))), data.draw(st.just(name) | st.sampled_from(["x", "a\x00.csv", "…"])))
    ]
    return {"data": form, "content_type": "multipart/form-data"}


#: A webhook that is tried and refused at once, with a message; a label set; a draft.
THERE = [
    text(statement)
    for statement in (
        (
            "INSERT INTO webhook (public_id, url, secret) VALUES (:webhook_id, 'https://127.0.0.1:1/h', 'whsec_eA==')"
            " ON CONFLICT DO NOTHING"
        ),
        (
            "INSERT INTO webhook_delivery (public_id, webhook_id, job_id, event, payload) SELECT :delivery_id,"
            " webhook.id, job.id, 'job.completed', '{}' FROM webhook, job WHERE webhook.public_id = :webhook_id"
            " AND job.public_id = :job_id ON CONFLICT DO NOTHING"
        ),
        "DELETE FROM label_set WHERE public_id = :label_set_id AND deleted_at IS NOT NULL",
        (
            "INSERT INTO label_set (public_id, name) VALUES (:label_set_id, gen_random_uuid()::text)"
            " ON CONFLICT DO NOTHING"
        ),
        (
            "INSERT INTO label_set_version (label_set_id, version, content) SELECT id, 1, CAST(:content AS jsonb)"
            " FROM label_set WHERE public_id = :label_set_id ON CONFLICT DO NOTHING"
        ),
        (
            "INSERT INTO draft (public_id, name, sha256, size_bytes) VALUES (:draft_id, 'a.csv', '', length(:csv))"
            " ON CONFLICT DO NOTHING"
        ),
        (
            "INSERT INTO draft_part (draft_id, part_no, content) SELECT id, 0, :csv FROM draft"
            " WHERE public_id = :draft_id ON CONFLICT DO NOTHING"
        ),
    )
]


@pytest.fixture
def fuzzed(make_app, start_worker, live_worker, upload, tag, database):
    """An app with a fake worker, a tagged job and one object of each kind."""
    live_worker("interactive")
    live_worker("bulk")
    start_worker()
    job_id = upload().json["id"]
    tag(job_id)
    app = make_app()
    ids = {name: str(uuid.uuid4()) for name in ("webhook_id", "delivery_id", "label_set_id", "draft_id")}
    ids |= {"job_id": job_id, "version": "1", "name": "nobody", "token_id": "1", "filename": "moon.svg"}

    def there() -> None:
        """Restore deleted objects."""
        with database.begin() as connection:
            for statement in THERE:
                connection.execute(
                    statement, ids | {"content": json.dumps(LabelSet.of("物流,退款").to_json()), "csv": CSV}
                )

    return app, app.test_client(), ids, there


def test_every_route(fuzzed, caplog):
    app, client, ids, there = fuzzed
    routes = _routes(app)
    assert len(routes) > 25

    @given(data=st.data())
    @examples(700)
    def send(data: Any) -> None:
        method, route = data.draw(st.sampled_from(routes))
        there()
        path = _path(data, route, ids)
        query = [
            (name.encode("utf-8", "replace"), value.encode("utf-8", "replace")) for name, value in data.draw(QUERY)
        ]
        body = {} if method == "GET" else _body(data, route)
        headers = data.draw(HEADERS)
        if method == "POST" and not route.startswith("/api/"):  # without it no form is looked at
            headers = {"X-CSRF-Token": token_of(client.get("/").text), **headers}
        caplog.clear()
        started = time.monotonic()
        response = client.open(path, method=method, query_string=query, headers=list(headers.items()), **body)
        content = response.get_data()
        response.close()
        _check(response, content, path, caplog.records)
        assert time.monotonic() - started < ANSWER_S

    caplog.set_level(logging.INFO)
    send()


def _check(response: Any, content: bytes, path: str, records: list[logging.LogRecord]) -> None:
    status = response.status_code
    assert status < 500 or status in EXPECTED_5XX, (status, content[:500])
    assert not [record for record in records if record.exc_info], "a defect is in the log"
    assert b"Traceback" not in content
    assert response.headers["X-Request-ID"]
    if path.startswith("/api/") and status >= 400:
        assert response.content_type == "application/problem+json"
        problem = json.loads(content)
        assert problem["status"] == status
        assert problem["title"]
        assert problem["detail"]
        assert problem["type"] == f"urn:yeban:problem:{problem['code']}"
    elif response.content_type == "application/json":
        json.loads(content, parse_constant=pytest.fail)
