"""Forms that cost more to parse than to send are refused early."""

from __future__ import annotations

import html
import time
import tracemalloc

import pytest

from web.http.parsing import MAX_FORM_FIELDS
from web.label_sets.form import MAX_ROWS

MIB = 1 << 20
URLENCODED = "application/x-www-form-urlencoded"


@pytest.fixture
def measured(client):
    """Post a form and check that it costs little time and memory."""

    def post(path: str, body: bytes, content_type: str = URLENCODED, *, memory: int = 64 * MIB):
        client.get("/")
        tracemalloc.start()
        started = time.monotonic()
        try:
            response = client.post(path, data=body, content_type=content_type)
            taken_s, (_, peak) = time.monotonic() - started, tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert taken_s < 30  # minutes and more where all of it is taken apart
        assert peak < memory
        assert len(response.data) < 100_000
        return response

    return post


@pytest.mark.parametrize("path", ["/label-sets/new", "/label-sets/import", "/", "/webhooks", "/upload"])
def test_a_million_fields_are_refused_unread(measured, path):
    response = measured(path, b"do=add&" + b"label=&" * 50_000)
    assert response.status_code == 413
    assert f"more than {MAX_FORM_FIELDS} fields" in html.unescape(response.text)


def test_eight_megabytes_of_empty_rows(measured):
    assert measured("/label-sets/new", b"do=add&" + b"label=&" * 1_150_000).status_code == 413


def test_rows_are_counted_before_they_are_created(measured):
    response = measured("/label-sets/new", b"do=add&" + b"label=&" * (MAX_ROWS + 1))
    assert response.status_code == 422
    assert f"{MAX_ROWS + 1} rows" in html.unescape(response.text)


def test_a_full_form_offers_no_further_row(client):
    page = client.post("/label-sets/new", data={"do": "add", "label": ["a"] * MAX_ROWS})
    assert page.status_code == 200
    assert page.text.count('name="label"') == MAX_ROWS + 1  # and the pattern of a new one


def test_millions_of_labels_in_one_field(measured):
    response = measured("/api/v1/jobs", _file(b"a," * 1_500_000), "multipart/form-data; boundary=x", memory=200 * MIB)
    assert response.status_code in {413, 422}
    assert "There are 1500000 labels; the limit is 1000" in response.json["detail"]


def test_a_form_without_a_file_has_the_usual_limits(measured):
    response = measured("/upload", b"file=" + b"x" * 4_500_000)
    assert response.status_code == 413
    assert "larger than 4194304 bytes" in html.unescape(response.text)


def test_a_large_part_header_is_not_reported_as_a_large_file(measured):
    name = b"x" * 4_300_000
    body = b'--x\r\nContent-Disposition: form-data; name="' + name + b'"\r\n\r\nv\r\n--x--\r\n'
    page = html.unescape(measured("/upload", body, "multipart/form-data; boundary=x").text)
    assert "its header is too large" in page
    assert "MiB" not in page.split("its header")[0].rsplit("<p", 1)[-1]


def test_too_many_parts(measured):
    part = b'--x\r\nContent-Disposition: form-data; name="labels"\r\n\r\na\r\n'
    response = measured("/api/v1/jobs", part * 1_200 + b"--x--\r\n", "multipart/form-data; boundary=x")
    assert (response.status_code, response.json["code"]) == (413, "too_large")
    assert "more than 1100 fields" in response.json["detail"]


def test_a_large_text_that_cannot_be_imported_is_not_shown_again(measured, client):
    body = b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\n["' + b"&" * 3_000_000 + b"\r\n--x--\r\n"
    response = measured("/label-sets/import", body, "multipart/form-data; boundary=x")
    assert response.status_code == 422
    assert "This is not valid JSON" in html.unescape(response.text)
    assert "[&#34;small" in client.post("/label-sets/import", data={"text": '["small'}).text


def test_the_drafts_of_an_owner_are_limited(client):
    # Written out, since the test client would leave a temporary file open.
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    body = part + b"x\n" * 520_000 + b"\r\n--x--\r\n"

    def send():
        return client.post("/upload", data=body, content_type="multipart/form-data; boundary=x")

    places = [send().headers["Location"] for _ in range(4)]
    response = send()
    assert response.status_code == 409
    assert "Start or discard one first" in html.unescape(response.text)
    client.post(f"{places[0]}/discard")
    assert send().status_code == 303


def _file(labels: bytes) -> bytes:
    part = b'--x\r\nContent-Disposition: form-data; name="labels"\r\n\r\n' + labels
    return (
        part + b'\r\n--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\ntext\nx\r\n--x--\r\n'
    )


@pytest.mark.parametrize("path", ["/", "/api/v1/jobs", "/upload", "/label-sets/import", "/preferences"])
@pytest.mark.parametrize("times", [1, 2])
def test_parts_without_a_name_are_refused(client, path, times):
    body = b"--x\r\nContent-Disposition: form-data\r\n\r\nv\r\n" * times + b"--x--\r\n"
    response = client.post(path, data=body, content_type="multipart/form-data; boundary=x")
    assert response.status_code < 500
