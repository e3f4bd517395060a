"""``yeban probe``: what it asks, and what it says."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.fixtures.ports import refusing_port
from yeban.cli import main
from yeban.settings import get_settings

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def heartbeat(tmp_path: Path) -> Path:
    path = tmp_path / "heartbeat"
    path.write_text("{}")
    return path


@pytest.fixture
def serving():
    """A server whose /healthz answers with what ``status`` says."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(server.status if self.path == "/healthz" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.status = 200
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch):
    def probe(*arguments: str, **environment: str) -> tuple[int, str]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        ended = CliRunner().invoke(main, ["probe", *arguments])
        return ended.exit_code, ended.output.strip()

    yield probe
    get_settings.cache_clear()


def aged(path: Path, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


def test_a_recent_heartbeat_is_well(probe, heartbeat):
    status, said = probe("worker", "--file", str(heartbeat))
    assert status == 0
    assert said.startswith("ok: the last heartbeat is ")


@pytest.mark.parametrize(("age_s", "allowed", "status"), [(50, "600", 0), (700, "600", 1), (5, "4.5", 1)])
def test_a_heartbeat_grows_too_old(probe, heartbeat, age_s, allowed, status):
    aged(heartbeat, age_s)
    found, said = probe("worker", "--max-age-s", allowed, YEBAN_HEARTBEAT_FILE=str(heartbeat))
    assert found == status
    assert "\n" not in said
    assert (f"at most {allowed} s" in said) == (status == 1)


def test_no_file_is_not_well(probe, tmp_path):
    status, said = probe("worker", "--file", str(tmp_path / "none"))
    assert status == 1
    assert str(tmp_path / "none") in said


def test_without_a_file_to_look_at_it_says_how_to_name_one(probe):
    status, said = probe("worker", YEBAN_HEARTBEAT_FILE="")
    assert status == 2
    assert "YEBAN_HEARTBEAT_FILE" in said


@pytest.mark.parametrize(("answer", "status"), [(200, 0), (503, 1)])
def test_the_web_is_asked_where_the_settings_say_it_is(probe, serving, answer, status):
    serving.status = answer
    found, said = probe("web", YEBAN_HOST="0.0.0.0", YEBAN_PORT=str(serving.server_port))  # noqa: S104
    assert found == status
    assert f"http://127.0.0.1:{serving.server_port}/healthz answered {answer}" in said


def test_a_web_that_is_not_there_or_says_nothing_is_not_well(probe):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        assert probe("web", "--server", url, "--timeout-s", "0.3")[0] == 1
        assert time.monotonic() - started < 30  # for ever where nothing bounds it
    with refusing_port() as port:
        status, said = probe("web", "--server", f"http://127.0.0.1:{port}")
    assert (status, said.count("\n")) == (1, 0)


def test_what_is_no_url_is_refused(probe):
    status, said = probe("web", "--server", "file:///etc/passwd")
    assert status == 2
    assert "http://" in said


def test_it_starts_without_what_takes_long():
    program = (
        "import atexit, sys\n"
        "from yeban.cli import main\n"
        "slow = {'httpx', 'sqlalchemy', 'celery', 'rich', 'numpy', 'prometheus_client'}\n"
        "atexit.register(lambda: print('slow:', *slow & set(sys.modules)))\n"
        "sys.argv = ['yeban', 'probe', 'web', '--server', 'http://127.0.0.1:1']\n"
        "main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert ended.returncode == 1
    assert ended.stdout.splitlines()[-1] == "slow:"
