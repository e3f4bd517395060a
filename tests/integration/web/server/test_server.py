"""The server as a process of its own: where it listens, how it begins and ends, and what only a real socket shows."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import redis

from tests.fixtures.collector import run_collector
from tests.fixtures.scraping import Scraped, read
from tests.fixtures.waiting import wait_until
from tests.integration.web.server.conftest import PATIENCE_S, REPOSITORY, command
from yeban.messaging.queues import INTERACTIVE_QUEUE


def test_when_the_master_is_killed_its_processes_let_go_of_the_port_at_once(serve):
    process, _ready, client = serve(YEBAN_WEB_PROCESSES="2")
    assert client.get("/healthz").status_code == 200
    process.kill()
    process.wait(PATIENCE_S)
    wait_until(lambda: _is_free(client), timeout_s=15, what="a free port")


def _is_free(client: httpx.Client) -> bool:
    """Whether nothing listens any more where ``client`` found a server."""
    with socket.socket() as probe:
        return probe.connect_ex((client.base_url.host, client.base_url.port)) != 0


def test_it_says_where_it_is_answers_and_ends_in_order(serve):
    process, ready, client = serve()
    assert client.base_url.host == "127.0.0.1"
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/").status_code == 200
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "Traceback" not in output
    assert not ready.exists()
    with pytest.raises(httpx.ConnectError):
        client.get("/healthz")


def test_several_processes_serve_one_address(serve):
    _process, _ready, client = serve(YEBAN_WEB_PROCESSES="2", YEBAN_WEB_THREADS="2")
    assert {client.get("/readyz").json()["checks"]["database"]["ok"] for _ in range(10)} == {True}


def test_several_processes_add_their_metrics_up_and_leave_no_folder_behind(serve, tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    process, _ready, client = serve(YEBAN_WEB_PROCESSES="2", YEBAN_WEB_THREADS="1", TMPDIR=str(folder))

    def scrape() -> Scraped:
        return read(_get_apart(client, "/metrics").text)

    wait_until(lambda: scrape()("yeban_web_processes") == 2, what="both processes")
    for _ in range(20):  # each over a connection of its own, so that both processes have some
        _get_apart(client, "/healthz")
    for _ in range(5):
        assert scrape()("yeban_http_requests_total", route="/healthz", method="GET", status="200") == 20
    (shared,) = _metrics_in(folder)
    victim = next(shared.glob("gauge_livesum_*.db"))
    both = scrape()("process_resident_memory_bytes")
    assert both == pytest.approx(
        sum(map(_resident_bytes, shared.glob("gauge_livesum_*.db"))), rel=0.3
    )  # one of the two would be half
    os.kill(int(victim.stem.rpartition("_")[2]), signal.SIGKILL)
    wait_until(lambda: not victim.exists(), what="the end of what only the living have")
    wait_until(lambda: scrape()("yeban_web_processes") == 2, what="a new process in its place")
    assert scrape()("yeban_http_requests_total", route="/healthz", method="GET", status="200") == 20
    assert scrape()("process_resident_memory_bytes") == pytest.approx(
        both, rel=0.4
    )  # with the dead one, half as much again
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_S)
    assert list(folder.iterdir()) == []


def test_a_folder_named_in_the_environment_belongs_to_another_program(serve, tmp_path):
    _process, _ready, client = serve(PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "other"))
    assert read(client.get("/metrics").text)("yeban_web_processes") == 1


def test_the_folder_of_a_server_that_was_killed_is_removed_by_the_next_and_that_of_one_that_runs_is_not(
    serve, tmp_path
):
    folder = tmp_path / "tmp"
    folder.mkdir()

    def start() -> tuple[subprocess.Popen[str], httpx.Client, Path]:
        before = _metrics_in(folder)
        process, _ready, client = serve(YEBAN_WEB_PROCESSES="2", YEBAN_WEB_THREADS="1", TMPDIR=str(folder))
        (own,) = _metrics_in(folder) - before
        return process, client, own

    _process, _client, kept = start()
    killed, client, left = start()
    killed.kill()
    killed.wait(PATIENCE_S)
    wait_until(lambda: _is_free(client), what="the end of its processes")
    assert left.exists()

    *_, own = start()

    assert _metrics_in(folder) == {kept, own}


def _metrics_in(folder: Path) -> set[Path]:
    """The folders of servers in a temporary folder, where gunicorn has a file of its own for a moment."""
    return set(folder.glob("yeban-*"))


def _get_apart(client: httpx.Client, path: str) -> httpx.Response:
    """Ask over a connection of its own."""
    return httpx.get(client.base_url.join(path), timeout=PATIENCE_S, trust_env=False)


def _resident_bytes(path: Path) -> int:
    """What the process takes that a file of metrics belongs to."""
    pages = Path("/proc", path.stem.rpartition("_")[2], "statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def test_every_record_of_the_server_is_json_where_that_is_wanted_and_none_has_a_text(serve):
    process, _ready, client = serve(YEBAN_LOG_FORMAT="json", YEBAN_LOG_LEVEL="DEBUG")
    secret = "我的包裹丢了"
    file = {"file": ("t.csv", f"{secret},1\n{secret},2\n".encode())}  # without a header, the first row is taken for one
    client.post("/api/v1/jobs", data={"labels": "a,b"}, files=file)
    good = {"file": ("t.csv", f"text,number\n{secret},2\n".encode())}
    assert client.post("/api/v1/jobs", data={"labels": "a,b"}, files=good).status_code == 201
    client.post("/api/v1/jobs", data={"labels": "a,b", "text_column": "nowhere"}, files=file)
    client.post("/api/v1/classify", json={"text": secret, "labels": "a,b"}, headers={"X-Request-ID": "r-1"})
    client.post(
        "/api/v1/classify", content=f'{{"text": "{secret}'.encode(), headers={"Content-Type": "application/json"}
    )
    client.get(f"/{secret}")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert secret not in output
    records = [json.loads(line) for line in output.splitlines()]
    assert {"time", "level", "logger", "message"} <= set.intersection(*map(set, records))
    assert {"gunicorn.error", "web.access", "yeban.jobs.creation"} <= {record["logger"] for record in records}
    of_one = [record for record in records if record.get("request_id") == "r-1"]
    assert [record["logger"] for record in of_one] == ["web.http.errors", "web.access"]
    assert (of_one[1]["route"], of_one[1]["status"]) == ("/api/v1/classify", 504)
    created = next(record for record in records if record["message"] == "job created")
    assert created["request_id"]
    assert uuid.UUID(created["public_id"])


def test_a_request_is_traced_to_the_message_that_asks_a_worker(serve, redis_url):
    with run_collector() as collector:
        _process, _ready, client = serve(YEBAN_OTLP_ENDPOINT=collector.url, OTEL_BSP_SCHEDULE_DELAY="200")
        file = {"file": ("t.csv", "text\n一\n".encode())}
        assert client.post("/api/v1/jobs", data={"labels": "a,b"}, files=file).status_code == 201
        caller = f"00-{'a' * 32}-{'b' * 16}-01"
        client.post("/api/v1/classify", json={"text": "一", "labels": "a,b"}, headers={"traceparent": caller})
        names = ("POST /api/v1/jobs", "create job", "ask a worker", "POST /api/v1/classify")
        wait_until(lambda: all(map(collector.named, names)), what="all spans")
        (request,) = collector.named("POST /api/v1/classify")
        (asks,) = collector.named("ask a worker")
        (creates,) = collector.named("create job")
        (upload,) = collector.named("POST /api/v1/jobs")
        with redis.Redis.from_url(redis_url) as connection:
            envelope = json.loads(connection.rpop(INTERACTIVE_QUEUE))
    _args, message, _options = json.loads(base64.b64decode(envelope["body"]))
    assert message["trace"]["traceparent"] == f"00-{'a' * 32}-{asks.span_id.hex()}-01"
    assert (asks.parent_id, request.parent_id) == (request.span_id, bytes.fromhex("b" * 16))
    assert (request.failed, request.attributes["http.response.status_code"]) == ("504", 504)
    assert request.service == "yeban-web"
    assert (creates.parent_id, creates.attributes["yeban.rows"]) == (upload.span_id, 1)


def test_the_answer_to_too_large_an_upload_reaches_the_one_who_is_still_sending(serve):
    _process, _ready, client = serve()
    response = client.post("/api/v1/jobs", data={"labels": "a,b"}, files={"file": ("big.csv", b"x" * 40_000_000)})
    assert (response.status_code, response.json()["code"]) == (413, "too_large")


def test_an_upload_of_unknown_length_is_cut_off_at_the_limit(serve):
    def body() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\ntext\r\n'
        for _ in range(40):
            yield b"line\r\n" * 100_000
        yield b"\r\n--x--\r\n"

    _process, _ready, client = serve()
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    response = client.post("/api/v1/jobs", content=body(), headers=headers)
    assert (response.status_code, response.json()["code"]) == (413, "too_large")


def test_a_large_upload_leaves_no_file_behind(serve, tmp_path):
    spool = tmp_path / "spool"
    spool.mkdir()
    _process, _ready, client = serve(TMPDIR=str(spool))
    content = "text\n" + "一行文字\n" * 200_000
    response = client.post("/api/v1/jobs", data={"labels": "a,b"}, files={"file": ("t.csv", content.encode())})
    assert response.status_code == 201
    assert response.json()["progress"]["rows"] == 200_000
    assert list(spool.iterdir()) == []
    with client.stream("GET", response.json()["links"]["csv"]) as download:
        assert "content-length" not in download.headers
        assert sum(1 for _ in download.iter_lines()) == 200_001


@pytest.mark.parametrize(
    ("changes", "arguments", "said"),
    [
        ({}, ["--host", "0.0.0.0"], "YEBAN_ACCOUNTS"),  # noqa: S104
        ({"YEBAN_DATABASE_URL": "", "YEBAN_REDIS_URL": ""}, [], "yeban up"),
        ({"YEBAN_DATABASE_URL": "mysql://x/y"}, [], "PostgreSQL"),
        ({"YEBAN_REDIS_URL": "http://x"}, [], "YEBAN_REDIS_URL"),
        ({"YEBAN_WEB_THREADS": "none"}, [], "YEBAN_WEB_THREADS"),
    ],
)
def test_it_refuses_a_bad_configuration_in_one_sentence(environment, changes, arguments, said):
    ended = subprocess.run(
        command("--port", "0", *arguments),
        env={**environment, **changes},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def _classify(client: httpx.Client) -> httpx.Response:
    return client.post("/api/v1/classify", json={"text": "包裹三天没动了", "labels": "物流,退款"})


def test_the_excess_of_texts_is_refused_at_once_while_the_server_stays_responsive(serve, start_worker):
    _process, _ready, client = serve(YEBAN_WEB_THREADS="8", YEBAN_INTERACTIVE_DEADLINE_MS="60000")
    with ThreadPoolExecutor(6) as pool:
        admitted = [pool.submit(_classify, client) for _ in range(6)]  # three quarters of the threads; no worker runs

        def taken() -> bool:
            answer = client.get("/metrics")
            assert answer.elapsed.total_seconds() < 20, "it was kept waiting for one of the six"
            return read(answer.text)("yeban_in_progress", what="texts") == 6

        # Sent is not taken on yet; a text of this thread could get one of their places.
        wait_until(taken, what="six texts taken on")
        answer = _classify(client)
        assert (answer.status_code, answer.json()["code"]) == (429, "overloaded")
        assert answer.headers["Retry-After"] == "1"
        assert answer.elapsed.total_seconds() < 20, "at once, and not when one of the six was over"
        start_worker()
        assert {future.result().status_code for future in admitted} == {200}


def test_an_upload_over_the_limit_is_refused_unread_and_takes_no_place(serve):
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="labels"\r\n\r\na,b\r\n'
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\ntext\r\n'
        begun.set()
        assert go_on.wait(PATIENCE_S)
        yield b"one\r\n--x--\r\n"

    def upload() -> httpx.Response:
        return client.post(
            "/api/v1/jobs", data={"labels": "a,b"}, files={"file": ("b.csv", b"text\n" + b"x\n" * 10**6)}
        )

    _process, _ready, client = serve(YEBAN_UPLOAD_LIMIT="1")
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, "/api/v1/jobs", content=slow(), headers=headers)
        assert begun.wait(PATIENCE_S)
        # Sent is not taken on yet; an upload of this thread could get the only place.
        taken = 'yeban_in_progress{what="uploads"} 1.0'
        wait_until(lambda: taken in client.get("/metrics").text, what="the first upload taken on")
        second = upload()
        assert second.status_code == 429
        assert (second.json()["code"], second.headers["Retry-After"]) == ("overloaded", "1")
        assert client.get("/jobs").status_code == 200
        go_on.set()
        assert first.result().status_code == 201
    assert upload().status_code == 201


def _silent_upload(client: httpx.Client) -> socket.socket:
    """A client that sends the beginning of an upload and then nothing."""
    connection = socket.create_connection((client.base_url.host, client.base_url.port), timeout=PATIENCE_S)
    head = "POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5000\r\n"
    body = '--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\ntext\r\n'
    connection.sendall(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n{body}".encode())
    return connection


def test_a_client_that_falls_silent_in_mid_upload_loses_its_place(serve):
    _process, _ready, client = serve(YEBAN_UPLOAD_LIMIT="1", YEBAN_CLIENT_TIMEOUT_S="4")
    with _silent_upload(client) as silent:
        answer = b""
        while block := silent.recv(65536):
            answer += block
        head, _, problem = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert (json.loads(problem)["code"], json.loads(problem)["status"]) == ("request_timeout", 408)
    response = client.post("/api/v1/jobs", data={"labels": "a,b"}, files={"file": ("b.csv", b"text\none\n")})
    assert response.status_code == 201


@pytest.mark.parametrize(
    "begun",
    [
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ",
        b"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5000\r\n\r\nname=",
    ],
    ids=["head", "body"],
)
def test_clients_that_send_a_byte_now_and_then_do_not_keep_the_threads(serve, begun):
    _process, _ready, client = serve(YEBAN_WEB_THREADS="4", YEBAN_CLIENT_TIMEOUT_S="2")
    with contextlib.ExitStack() as open_ones:
        slow = [
            open_ones.enter_context(socket.create_connection((client.base_url.host, client.base_url.port)))
            for _ in range(4)
        ]
        for connection in slow:
            connection.sendall(begun)

        def answered() -> bool:
            for connection in slow:
                with contextlib.suppress(OSError):
                    connection.sendall(b"a")
            with contextlib.suppress(httpx.TransportError):
                return client.get("/healthz", timeout=1.0).status_code == 200
            return False

        wait_until(answered, what="an answer while four others dribble")


def test_many_refused_uploads_do_not_take_the_threads(serve):
    _process, _ready, client = serve(YEBAN_UPLOAD_LIMIT="1", YEBAN_WEB_THREADS="16", YEBAN_CLIENT_TIMEOUT_S="60")
    with contextlib.ExitStack() as open_ones:
        for _ in range(24):  # one is admitted; of the others eight are read on for
            open_ones.enter_context(_silent_upload(client))
        for _ in range(5):
            answer = client.get("/healthz")
            assert answer.status_code == 200
            assert answer.elapsed.total_seconds() < 20  # half a minute, until one of them is given up
