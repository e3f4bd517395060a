"""Whatever is uploaded, the answer is a page that says what is wrong, and it takes no more memory than is foreseen."""

from __future__ import annotations

import html
import io
import random
import tracemalloc
import zipfile

import pytest

from tests.fixtures.page_checker import form_fields

MIB = 1 << 20
SCRIPT = {"HX-Request": "true"}
ENDS = ("/preview", "/counts", "/try", "/estimate", "")


def _checked(response) -> str:
    assert response.status_code < 500, html.unescape(response.text)[-2000:]
    assert response.content_type.startswith("text/html")
    assert "Traceback" not in response.text
    return html.unescape(response.text)


def _place(client, content: bytes, name: str = "a.csv") -> str:
    # Written out, since the test client would leave a temporary file open for a large one.
    head = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
    body = head + content + b"\r\n--x--\r\n"
    response = client.post("/upload", data=body, content_type="multipart/form-data; boundary=x")
    assert response.status_code == 303, html.unescape(response.text)
    return response.headers["Location"]


def _zipped(parts: dict[str, bytes]) -> bytes:
    saved = io.BytesIO()
    with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return saved.getvalue()


def _bomb() -> bytes:
    return _zipped({"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": bytes(200 * MIB)})


def _laughs() -> bytes:
    document = b'<!DOCTYPE x [<!ENTITY a "ha">' + b"".join(
        b'<!ENTITY %c "&%c;&%c;">' % (98 + n, 97 + n, 97 + n) for n in range(20)
    )
    return _zipped({"[Content_Types].xml": document + b"]><x>&u;</x>", "xl/workbook.xml": b"<x/>"})


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(_bomb, "times its size", id="zip bomb"),
        pytest.param(_laughs, "XML entities", id="entities"),
        pytest.param(lambda: b'text\n"' + b"x" * 48 * MIB, "does not end within", id="one endless cell"),
        pytest.param(lambda: b"text\n" + b"x" * 48 * MIB, "does not end within", id="one endless line"),
        pytest.param(lambda: b"text" + b",a" * 1_000_000 + b"\nx\n", "1000001 cells", id="a million columns"),
        pytest.param(lambda: b"text,b\nx" + b",a" * 1_000_000 + b"\n", "1000001 cells", id="a million cells"),
        pytest.param(lambda: b"\n" * 8 * MIB, "blank", id="blank lines"),
        pytest.param(lambda: b'{"text": "' + b"x" * 48 * MIB, "longer than", id="one endless object"),
    ],
)
def test_what_would_fill_the_memory_is_refused_before_it_does(make_app, content, problem):
    client = make_app(max_upload_mb=64).test_client()
    name = "a.jsonl" if problem == "longer than" else "a.csv"
    place = _place(client, content(), name)
    _checked(client.get(place))  # what is imported on the way counts once
    tracemalloc.start()
    try:
        page = _checked(client.get(place))
        answers = [
            _checked(client.post(f"{place}{end}", data={"labels": "甲,乙"})) for end in ("/preview", "/counts", "")
        ]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    for answer in (page, *answers):
        assert problem in answer
    assert peak < 48 * MIB
    assert client.get("/api/v1/jobs").json["jobs"] == []


@pytest.mark.parametrize(
    "content",
    [
        b"\n\n\n",
        b"text\n",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"text\n\xff\xff\n",
        b"PK\x03\x04 no zip",
        b"PK\x05\x06" + bytes(18),
        b"%PDF-1.7\n\x00\x01\x02",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
        b"<html><table><tr><td>x",
        b"[1, 2]",
        b"\x00" * 1000,
        random.Random(1).randbytes(4096),
        b"text\n" + b"x" * 200_000 + b"\n",
        b'{"text": {"a": [' + b"[" * 100_000,
    ],
    ids=range(15),
)
def test_a_file_that_is_no_table_gets_a_page(client, content):
    place = _place(client, content)
    page = _checked(client.get(place))
    if "First rows" in page:
        return
    assert 'role="alert"' in page
    for end in ENDS:
        _checked(client.post(f"{place}{end}", data={"labels": "甲,乙"}))
        _checked(client.post(f"{place}{end}", data={"labels": "甲,乙"}, headers=SCRIPT))
    assert client.get("/api/v1/jobs").json["jobs"] == []


@pytest.mark.parametrize(
    "content",
    [
        b"id\x00,text\n1,x\n",
        b"id,te\x00xt\n1,a\x00b\n",
        b"\x00,text\n1,x\n",
        b'id,text\n1,"a\nb"\n',
        "id,text\n\u202e1,\u2028x\u0085\n".encode(),
        b'{"text": "a\\ud800b", "k\\ud800": "x"}\n',
        b"text,text,,\n1,2,3,4,5,6\n",
        b"#1,#2,text\n1,2,3\n",
        b"text+2AA-,b\n+2AA-,x\n",
    ],
    ids=range(9),
)
def test_odd_characters_and_headers_do_no_harm(client, content, start_worker):
    start_worker()
    place = _place(client, content)
    page = client.get(place).text
    _checked(client.get(place))
    form = {**form_fields(page, "draft"), "labels": "甲,乙"}
    for encoding in ("", "utf-7", "utf-16-be"):
        for end in ENDS:
            _checked(client.post(f"{place}{end}", data={**form, "encoding": encoding, "text_column": "#2"}))


@pytest.mark.parametrize("name", ["text_column", "gold_column", "id_column"])
@pytest.mark.parametrize(
    "value",
    ["#0", "#" + "9" * 400, "#-1", "#１", "no such", "\x00", "\ud83d".encode("utf-8", "surrogatepass"), "x" * 100_000],
)
def test_columns_that_are_none(client, start_worker, name, value):
    start_worker()
    place = _place(client, b"id,text\n1,x\n")
    form = {**form_fields(client.get(place).text, "draft"), "labels": "甲,乙", name: value}
    for end in ENDS:
        _checked(client.post(f"{place}{end}", data=form))


@pytest.mark.parametrize(
    "fields",
    [
        {"columns": "x" * 10_000},
        {"rows": "-1"},
        {"rows": "many"},
        {"rows": "9" * 4000},
        {"encoding": "../../etc/passwd"},
        {"encoding": "zip"},
        {"encoding": "utf\x008"},
        {"delimiter": '"'},
        {"delimiter": "x" * 10_000},
        {"sheet": "\x00"},
        {"format": ["csv", "tsv"]},
        {"text_column": ["#1", "#2"]},
        {"labels": ["甲"] * 1_050},
        {"labels": "[" * 100_000},
        {"start": "tonight", "tonight_at": "\x00"},
        {"start": "tonight", "tonight_at": "23:59:60"},
        {"start": "tonight", "tonight_at": "12:00+25:00"},
        {"start": "at", "start_at": "0001-01-01T00:00"},
        {"start": "at", "start_at": "9999-12-31T23:59"},
        {"start": ["now", "at"]},
        {"expires_at": "9" * 5000},
        {"model": "x" * 10_000},
        {"multi_label": "perhaps"},
        {"file": "x"},
    ],
    ids=range(24),
)
def test_fields_that_are_nonsense(client, start_worker, fields):
    start_worker()
    place = _place(client, b"id,text\n1,x\n")
    form = {**form_fields(client.get(place).text, "draft"), "labels": "甲,乙", **fields}
    for end in ENDS:
        _checked(client.post(f"{place}{end}", data=form))
        _checked(client.post(f"{place}{end}", data=form, headers=SCRIPT))


@pytest.mark.parametrize("address", ["abc", "1", "%00", "..%2f..%2fetc", "00000000-0000-0000-0000-00000000000"])
def test_addresses_that_lead_nowhere(client, address):
    assert client.get(f"/upload/{address}").status_code == 404
    assert client.post(f"/upload/{address}/try").status_code == 404
    assert client.get(f"/upload/{address}/try").status_code in {404, 405}
