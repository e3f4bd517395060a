"""Malformed requests are answered with 4xx problems, never a 5xx, HTML or a traceback."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

CLASSIFY = "/api/v1/classify"
JOBS = "/api/v1/jobs"
CSV = b"id,text\n1,hello\n"


def _refused(response, *statuses: int) -> dict:
    assert response.status_code in (statuses or range(400, 500)), (response.status_code, response.text[:500])
    assert response.content_type == "application/problem+json"
    problem = json.loads(response.data)
    assert problem["status"] == response.status_code
    assert problem["detail"]
    assert problem["title"]
    assert "Traceback" not in response.text
    return problem


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"\xff\xfe",
        b'{"text": "\xff", "labels": "a"}',
        b'{"text": "\\ud800", "labels": "a"}',
        b'{"text": "x", "labels": ["\\udfff"]}',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"labels":' * 10_000 + b"1" + b"}" * 10_000,
        b"[" * 100_000 + b"]" * 100_000,
    ],
    ids=range(11),
)
def test_bodies_that_are_not_json(client, body):
    problem = _refused(client.post(CLASSIFY, data=body, content_type="application/json"), 400)
    assert problem["code"] == "malformed"


@pytest.mark.parametrize(
    "body",
    [
        "null",
        "[]",
        "1",
        '"text"',
        "{}",
        '{"text": "x"}',
        '{"text": null, "labels": "a"}',
        '{"text": 1, "labels": "a"}',
        '{"text": ["x"], "labels": "a"}',
        '{"text": "x", "labels": null}',
        '{"text": "x", "labels": 1}',
        '{"text": "x", "labels": {}}',
        '{"text": "x", "labels": ""}',
        '{"text": "x", "labels": ",，,"}',
        '{"text": "x", "labels": []}',
        '{"text": "x", "labels": [1]}',
        '{"text": "x", "labels": [null]}',
        '{"text": "x", "labels": [[]]}',
        '{"text": "x", "labels": [{}]}',
        '{"text": "x", "labels": [{"name": 1}]}',
        '{"text": "x", "labels": [{"name": "a", "colour": "red"}]}',
        '{"text": "x", "labels": [{"name": "a", "examples": "b"}]}',
        '{"text": "x", "labels": [{"name": "a", "description": "\\u0000"}]}',
        '{"text": "x", "labels": [" "]}',
        '{"text": "x", "labels": ["a\\u0000"]}',
        '{"text": "x", "labels": ["a", "a"]}',
        json.dumps({"text": "x", "labels": ["a" * 201]}),
        json.dumps({"text": "x", "labels": [f"{n}" for n in range(1001)]}),
        json.dumps({"text": "x", "labels": ",".join(f"{n}" for n in range(1001))}),
        json.dumps({"text": "x", "labels": [{"name": "a", "description": "d" * 501}]}),
        '{"text": "x", "labels": "a", "template": ""}',
        '{"text": "x", "labels": "a", "template": "{}{}"}',
        '{"text": "x", "labels": "a", "template": "{0.__class__}"}',
        '{"text": "x", "labels": "a", "template": "{}\\u0000"}',
        '{"text": "x", "labels": "a", "template": 3}',
        '{"text": "x", "labels": "a", "multi_label": "yes"}',
        '{"text": "x", "labels": "a", "multi_label": 1}',
        '{"text": "x", "labels": "a", "threshold": "0.5"}',
        '{"text": "x", "labels": "a", "threshold": -0.1}',
        '{"text": "x", "labels": "a", "threshold": 1e999}',
        '{"text": "x", "labels": "a", "threshold": NaN}',
        '{"text": "x", "labels": "a", "threshold": ' + "9" * 5000 + "}",
        '{"text": "x", "labels": "a", "threshold": true}',
        '{"text": "x", "labels": "a", "model": "no/such\\u0000model"}',
        '{"text": "x", "labels": "a", "model": ""}',
        '{"text": "x", "labels": "a", "lables": "b"}',
    ],
)
def test_json_of_the_wrong_shape(client, body):
    assert _refused(client.post(CLASSIFY, data=body, content_type="application/json"), 400, 422)["code"] in {
        "malformed",
        "invalid_request",
        "invalid_labels",
        "invalid_template",
        "unknown_model",
    }


def test_an_unknown_field_is_named(client):
    problem = _refused(client.post(CLASSIFY, json={"text": "x", "labels": "a", "lables": "b"}), 422)
    assert (problem["field"], problem["detail"]) == ("lables", "lables: there is no such field.")


def test_an_invalid_label_is_located(client):
    problem = _refused(client.post(CLASSIFY, json={"text": "x", "labels": ["a", 3]}), 422)
    assert problem["detail"] == "labels.1: a label must be a name, or an object with a name."


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "\x7f"]
)
def test_json_needs_its_content_type(client, content_type):
    _refused(client.post(CLASSIFY, data=b'{"text": "x", "labels": "a"}', content_type=content_type), 415)


def test_a_body_without_end_is_too_large(client):
    problem = _refused(client.post(CLASSIFY, data=b" " * 2_000_000, content_type="application/json"), 413)
    assert problem["code"] == "too_large"


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded", "text/csv", None])
def test_an_upload_needs_its_content_type(client, content_type):
    _refused(client.post(JOBS, data=b"text\nx\n", content_type=content_type), 415)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x",
        b"--x\r\n",
        b"--x--\r\n",
        b"garbage",
        b"--x\r\nContent-Disposition: form-data\r\n\r\nvalue\r\n--x--\r\n",
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\ntext\nx',
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="\xff\xfe.csv"\r\n\r\n\r\n--x--\r\n',
        b'--x\r\nContent-Disposition: form-data; name="\x00"\r\n\r\nv\r\n--x--\r\n',
        b"--x\r\n" + b"A" * 100_000 + b"\r\n\r\n--x--\r\n",
    ],
    ids=range(10),
)
def test_bodies_that_are_not_forms(client, body):
    _refused(client.post(JOBS, data=body, content_type="multipart/form-data; boundary=x"))


def test_a_form_without_boundary(client):
    _refused(client.post(JOBS, data=b"x", content_type="multipart/form-data"))


@pytest.mark.parametrize(
    "fields",
    [
        {"labels": None},
        {"labels": ""},
        {"labels": "[1]"},
        {"labels": "[" * 100_000},
        {"labels": '["a"'},
        {"labels": '["\\ud800"]'},
        {"labels": '["a\\u0000"]'},
        {"labels": "a\x00"},
        {"labels": ["a", "a"]},
        {"labels": [str(number) for number in range(1001)]},
        {"template": "none"},
        {"template": ["{}", "{}"]},
        {"multi_label": "perhaps"},
        {"threshold": "high"},
        {"threshold": "nan"},
        {"threshold": "inf"},
        {"threshold": "2"},
        {"threshold": "1" * 5000},
        {"model": "none"},
        {"model": "x" * 10_000},
        {"model": "\x00"},
        {"text_column": "no such"},
        {"text_column": "\x00"},
        {"text_column": "#0"},
        {"text_column": "#99999999999999999999"},
        {"gold_column": "no such"},
        {"format": "docx"},
        {"format": "xlsx"},
        {"format": "jsonl"},
        {"encoding": "klingon"},
        {"encoding": "../../etc/passwd"},
        {"encoding": "rot13"},
        {"encoding": "zip"},
        {"encoding": "idna"},
        {"encoding": "undefined"},
        {"encoding": "utf\x008"},
        {"delimiter": "abc"},
        {"delimiter": '"'},
        {"sheet": "Sheet1"},
        {"start_at": "tomorrow"},
        {"start_at": "123"},
        {"start_at": "2026-11-22T22:00:00"},
        {"start_at": "0001-01-01T00:00:00+14:00"},
        {"start_at": "9999-12-31T23:59:59-14:00"},
        {"start_at": "2026-13-45T99:99:99Z"},
        {"expires_at": "2001-01-01T00:00:00Z"},
        {"strange": "1"},
    ],
    ids=str,
)
def test_forms_with_a_bad_field(upload, fields):
    _refused(upload(CSV, **fields), 422)


def test_a_form_with_a_second_file(upload):
    _refused(upload(CSV, file2=(io.BytesIO(b"x"), "x.csv")), 422)


def test_a_form_with_thousands_of_parts(upload):
    _refused(upload(CSV, labels=[str(number) for number in range(3000)]))


def test_a_form_with_endless_fields(client):
    part = b'--x\r\nContent-Disposition: form-data; name="template"\r\n\r\n' + b"x" * 4_500_000 + b"\r\n--x--\r\n"
    _refused(client.post(JOBS, data=part, content_type="multipart/form-data; boundary=x"), 413)


@pytest.mark.parametrize("key", ["x" * 201, "schlüssel", "a b"])
def test_a_bad_idempotency_key(upload, key):
    assert _refused(upload(CSV, headers={"Idempotency-Key": key}), 422)["field"] == "Idempotency-Key"


def test_a_form_without_file(client):
    problem = _refused(client.post(JOBS, data={"labels": "a"}, content_type="multipart/form-data"), 422)
    assert problem["field"] == "file"


def test_a_form_with_two_files(client):
    files = [(io.BytesIO(CSV), "a.csv"), (io.BytesIO(CSV), "b.csv")]
    _refused(client.post(JOBS, data={"labels": "a", "file": files}), 422)


def test_a_file_field_without_a_file(client):
    form = {"labels": "a", "file": "text\nx"}
    _refused(client.post(JOBS, data=form, content_type="multipart/form-data"), 422)


def _zip_bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", b"\0" * 50_000_000)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n\n",
        b"text\n",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"text\n\xff\xff\n",
        b'text\n"never closed\n',
        b"PK\x03\x04 no zip",
        b"%PDF-1.7\n\x00\x01\x02",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600,
        b"a,b\n" + b"x," * 2000 + b"\n",
        b"text\n" + b"x" * 200_000 + b"\n",
        _zip_bomb(),
    ],
    ids=range(13),
)
def test_files_that_are_not_tables(upload, content):
    _refused(upload(content), 413, 422)


@pytest.mark.parametrize(
    "content",
    [
        b"id\x00,text\n1,x\n",
        b"id,te\x00xt\n1,x\n",
        b"id,text\n1,a\x00b\n\x002,\x00\n",
        b"id,text,label\n1,a,\x00\n",
        b"\x00,text\n1,x\n",
    ],
    ids=range(5),
)
def test_nul_characters_do_no_harm(client, upload, content):
    response = upload(content, delimiter="comma", text_column="#2")
    if response.status_code != 201:
        _refused(response, 422)
        return
    job = response.json
    for end in ("", "/results", "/results.csv", "/results.xlsx", "/results.jsonl"):
        assert client.get(f"{JOBS}/{job['id']}{end}").status_code == 200


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        (b"text,b\n+2AA-,x\n", {"encoding": "utf-7"}),
        (b"text,b+2AA-\nx,x\n", {"encoding": "utf-7"}),
        (b"text,b\n\xed\xa0\x80,x\n", {"encoding": "utf-8"}),
        (b"text,b\n\\ud800,x\n", {"encoding": "unicode_escape"}),
        (b'{"text": "a\\ud800b", "l": "x"}\n', {"name": "a.jsonl"}),
        (b'{"text": "ab", "k\\ud800": "x"}\n', {"name": "a.jsonl"}),
        (b'{"text": "ab", "k\\u0000": "\\u0000"}\n', {"name": "a.jsonl"}),
    ],
    ids=range(7),
)
def test_half_surrogate_pairs_do_no_harm(client, upload, content, fields):
    response = upload(content, **fields)
    if response.status_code != 201:
        _refused(response, 422)
        return
    for end in ("", "/results", "/results.csv", "/results.xlsx", "/results.jsonl"):
        assert client.get(f"{JOBS}/{response.json['id']}{end}").status_code == 200


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("../../../etc/passwd", "passwd"),
        ("C:\\\\Users\\\\me\\\\工单.csv", "工单.csv"),
        ("/", "upload"),
        ("..", "upload"),
        ("a\u202evsc.exe", "avsc.exe"),
        ("x" * 500 + ".csv", "x" * 196 + ".csv"),
        ("<script>.csv", "<script>.csv"),
    ],
)
def test_a_file_name_has_no_folders(upload, name, stored):
    response = upload(CSV, name=name)
    assert response.status_code == 201, response.text
    assert response.json["source"]["name"] == stored


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=abc",
        "limit=1.5",
        "limit=99999999999999999999999",
        "limit=%00",
        "limit=1&limit=2",
        "cursor=abc",
        "cursor=%ff",
        "cursor=" + "A" * 5000,
        "cursor=cm93czoy",
        "cursor=am9iczotMQ",
        "cursor=am9iczo5OTk5OTk5OTk5OTk5OTk5OTk5OTk5",
        "cursor=%E5%A4%9C",
        "state=sleeping",
        "state=",
        "state=%00",
        "offset=3",
        "%00=1",
        "%ff=1",
    ],
)
def test_bad_queries_of_the_list(client, query):
    response = client.get(f"{JOBS}?{query}")
    if query == "state=":  # blank counts as absent
        assert response.status_code == 200
    else:
        _refused(response, 422)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "cursor=am9iczox", "status=fine", "status=ok&status=ok", "x=1"]
)
def test_bad_queries_of_results(client, job_id, query):
    _refused(client.get(f"{JOBS}/{job_id}/results?{query}"), 422)


@pytest.mark.parametrize("query", ["bom=perhaps", "guard=2", "format=csv", "bom=1&bom=0"])
def test_bad_queries_of_downloads(client, job_id, query):
    _refused(client.get(f"{JOBS}/{job_id}/results.csv?{query}"), 422)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/jobs/abc",
        "/api/v1/jobs/00000000-0000-0000-0000-00000000000",
        "/api/v1/jobs/00000000-0000-0000-0000-000000000000",
        "/api/v1/jobs/1",
        "/api/v1/jobs/%00",
        "/api/v1/jobs/..%2f..%2fetc",
        "/api/v1/jobs/%ff%fe",
        "/api/v1/jobs/",
        "/api/v1",
        "/api/",
        "/api/v2/jobs",
        "/api/v1/" + "x" * 10_000,
    ],
)
def test_unknown_paths(client, path):
    assert _refused(client.get(path), 404)["code"] == "not_found"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", CLASSIFY),
        ("PUT", JOBS),
        ("DELETE", JOBS),
        ("POST", "/api/v1/models"),
        ("POST", "/healthz"),
        ("PATCH", JOBS),
    ],
)
def test_methods_that_are_not_allowed(client, method, path):
    response = client.open(path, method=method)
    _refused(response, 405)
    assert response.headers["Allow"]


@pytest.mark.parametrize("action", ["explode", "pause%00", "PAUSE"])
def test_unknown_actions(client, job_id, action):
    _refused(client.post(f"{JOBS}/{job_id}/{action}"), 404)


def test_an_unexpected_error_shows_its_request_id_only(make_app, caplog):
    app = make_app()
    app.view_functions["api.list_models"] = lambda: 1 / 0
    response = app.test_client().get("/api/v1/models", headers={"X-Request-ID": "r-1"})
    assert response.status_code == 500
    assert (response.json["code"], response.json["request_id"]) == ("internal", "r-1")
    assert "ZeroDivisionError" not in response.text
    assert "ZeroDivisionError" in caplog.text
    assert "r-1" in {getattr(record, "request_id", None) for record in caplog.records if record.exc_info}
