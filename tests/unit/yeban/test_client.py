from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from yeban.client import Client, wait_until_ready
from yeban.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    ServiceUnavailable,
    UnknownColumn,
    YebanError,
    msg,
)

JOB = "0cca0c22-b766-4c38-9543-2470d0a7a180"


class OneAnswer(HTTPServer):
    """Gives every request the same answer: raw bytes, from the status line on."""

    answer = b""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def say(self, status: str, body: bytes, *, length: int | None = None) -> None:
        head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length or len(body)}\r\n\r\n"
        self.answer = head.encode() + body


class _Handler(BaseHTTPRequestHandler):
    server: OneAnswer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.wfile.write(self.server.answer)
        self.close_connection = True

    do_GET = do_POST = _answer  # noqa: N815


@pytest.fixture
def server() -> Iterator[OneAnswer]:
    with OneAnswer(("127.0.0.1", 0), _Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def client(server: OneAnswer) -> Iterator[Client]:
    with Client(server.url) as opened:
        yield opened


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        ("404 Not Found", "not_found", NotFound),
        ("409 Conflict", "conflict", Conflict),
        ("422 Unprocessable", "unknown_column", UnknownColumn),
        ("503 Service Unavailable", "unavailable", ServiceUnavailable),
        ("500 Internal Server Error", "internal", YebanError),
        ("418 A Teapot", "new_in_a_later_version", InvalidRequest),
        ("507 Out Of Space", "new_in_a_later_version", YebanError),
    ],
)
def test_a_problem_becomes_the_error_it_names(
    server: OneAnswer, client: Client, status: str, code: str, expected: type[YebanError]
) -> None:
    server.say(status, f'{{"detail": "why", "code": "{code}"}}'.encode())

    with pytest.raises(YebanError, match=r"^why$") as caught:
        client.job(JOB)
    assert type(caught.value) is expected


@pytest.mark.parametrize(
    "call", [lambda c: c.job(JOB), lambda c: c.jobs(), lambda c: c.models(), lambda c: c.classify({})]
)
@pytest.mark.parametrize("body", [b"", b"<html>", b"7", b"{}", b'{"jobs": 1, "models": 1}', b"\xff"])
def test_an_answer_that_is_not_the_apis_is_told_as_such(
    server: OneAnswer, client: Client, call: Callable[[Client], object], body: bytes
) -> None:
    server.say("200 OK", body)

    with pytest.raises(ServiceUnavailable, match=server.url):
        call(client)


def test_readiness_is_none_unless_a_yeban_server_answers(server: OneAnswer, client: Client) -> None:
    server.say("200 OK", b"hello")
    assert client.readiness() is None
    server.say("200 OK", b"[]")
    assert client.readiness() is None
    server.say("503 Service Unavailable", b'{"checks": {"redis": {"ok": false}}}')
    assert client.readiness() == {"checks": {"redis": {"ok": False}}, "ready": False}
    server.say("200 OK", b'{"checks": {}}')
    assert client.readiness() == {"checks": {}, "ready": True}


def test_waiting_for_readiness_ends_with_what_is_missing(server: OneAnswer, client: Client) -> None:
    server.say("503 Service Unavailable", b'{"checks": {"redis": {"ok": false}}}')

    with pytest.raises(ServiceUnavailable, match="redis"):
        wait_until_ready(client, 0.0, lambda: None)


def test_waiting_for_readiness_ends_when_there_is_nothing_to_wait_for(server: OneAnswer, client: Client) -> None:
    server.say("503 Service Unavailable", b'{"checks": {}}')

    def gone() -> None:
        raise ServiceUnavailable(msg("The web process keeps exiting."))

    with pytest.raises(ServiceUnavailable, match="keeps exiting"):
        wait_until_ready(client, 60.0, gone)


def test_a_download_appears_whole_with_ordinary_permissions(server: OneAnswer, client: Client, tmp_path: Path) -> None:
    server.say("200 OK", b"a,b\n")

    client.download(JOB, "csv", tmp_path / "out.csv")

    assert (tmp_path / "out.csv").read_bytes() == b"a,b\n"
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    assert (tmp_path / "out.csv").stat().st_mode == ordinary.stat().st_mode


def test_a_download_that_is_cut_off_leaves_nothing(server: OneAnswer, client: Client, tmp_path: Path) -> None:
    server.say("200 OK", b"a,b\n", length=1_000)

    with pytest.raises(ServiceUnavailable):
        client.download(JOB, "csv", tmp_path / "out.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_is_refused_leaves_nothing(server: OneAnswer, client: Client, tmp_path: Path) -> None:
    server.say("404 Not Found", b'{"detail": "There is no job.", "code": "not_found"}')

    with pytest.raises(NotFound):
        client.download_errors(JOB, tmp_path / "out.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_cannot_be_written_is_the_callers_mistake(
    server: OneAnswer, client: Client, tmp_path: Path
) -> None:
    server.say("200 OK", b"a,b\n")
    (tmp_path / "out.csv").mkdir()

    with pytest.raises(InvalidRequest, match=r"Cannot write .*out\.csv"):
        client.download(JOB, "csv", tmp_path / "out.csv")
    with pytest.raises(InvalidRequest, match="Cannot write"):
        client.download(JOB, "csv", tmp_path / "none" / "out.csv")


def test_an_upload_of_a_file_that_is_gone(client: Client, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"gone\.csv"):
        client.create_job(tmp_path / "gone.csv", {})


@pytest.mark.parametrize("url", ["", "localhost:8400", "ftp://host", "http://", "http://[::1", "http://host:port"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="server URL"):
        Client(url)
