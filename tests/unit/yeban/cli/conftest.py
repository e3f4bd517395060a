"""The command line against a server that a test scripts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from yeban.cli import progress

JOB_ID = "0cca0c22-b766-4c38-9543-2470d0a7a180"
TABLE = "text,yeban_label,yeban_score,yeban_margin,yeban_status\n甲,a,0.9,0.8,ok\n乙,,,,pending\n"

Answer = tuple[int, Any]


def job(state: str = "running", **changes: Any) -> dict[str, Any]:
    """A job of two rows as the API tells it."""
    done = 2 if state.startswith("completed") else 1
    return {
        "id": JOB_ID,
        "state": state,
        "model": {"name": "e5-small", "fingerprint": "f"},
        "source": {"name": "in.csv"},
        "progress": {"rows": 2, "done": done, "ok": done, "abstained": 0, "errors": 0, "rows_per_s": 4.0, "eta_s": 1.0},
        "times": {
            "created_at": "2026-11-22T22:00:00+00:00",
            "running_at": "2026-11-22T22:00:00+00:00",
            "ended_at": "2026-11-22T22:00:02+00:00",
        },
        "error": None,
        "refinement": None,
        "corrections": 0,
        "summary": {"labels": {"a": 2, "b": 0}, "seconds": 0.5} if state.startswith("completed") else None,
        **changes,
    }


class FakeServer(ThreadingHTTPServer):
    """Answers ``(method, path)`` with what ``answers`` holds: a constant, or a function called at each request.

    An answer is a status and a JSON document, or bytes sent as they are. ``None`` closes the connection unanswered.
    """

    daemon_threads = True

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Answer | Callable[[], Answer | None]] = {
            ("POST", "/api/v1/jobs"): (201, job("queued")),
            ("GET", f"/api/v1/jobs/{JOB_ID}"): (200, job("completed")),
            ("POST", f"/api/v1/jobs/{JOB_ID}/cancel"): (200, job("cancelled")),
            ("GET", f"/api/v1/jobs/{JOB_ID}/results.csv"): (200, TABLE.encode()),
        }
        self.requests: list[tuple[str, str]] = []
        self.queries: list[str] = []
        self.bodies: list[bytes] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def script(self, method: str, path: str, *answers: Answer | None) -> None:
        """Answer with each of ``answers`` in turn, and then always with the last."""
        left = list(answers)
        self.answers[method, path] = lambda: left.pop(0) if len(left) > 1 else left[0]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no failure of the test."""


class _Handler(BaseHTTPRequestHandler):
    server: FakeServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def _answer(self) -> None:
        path, _, query = self.path.partition("?")
        key = (self.command, path)
        self.server.requests.append(key)
        self.server.queries.append(query)
        self.server.bodies.append(self._body())
        answer = self.server.answers.get(key, (404, {"detail": f"There is no {key[1]}.", "code": "not_found"}))
        if callable(answer):
            answer = answer()
        if answer is None:
            self.close_connection = True
            return
        status, content = answer
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def run(run_yeban: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run ``yeban``, without long pauses between its requests."""
    monkeypatch.setattr(progress, "_RETRY_S", 0.01)
    monkeypatch.setattr(progress, "_POLL_S", 0.01)
    return run_yeban


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_text("text\n甲\n乙\n", encoding="utf-8")
    return path
