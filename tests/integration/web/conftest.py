"""A web app on a real PostgreSQL and Valkey, with fake workers."""

from __future__ import annotations

import base64
import io
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from tests.fixtures.browser_client import BrowserClient
from tests.fixtures.conformance import Conformance
from tests.fixtures.page_checker import SoundPages
from web.app import create_app
from web.auth import authentication
from web.monitoring import health, metrics
from yeban.accounts import passwords
from yeban.chunks.workers import WorkerInfo, beat
from yeban.database.engine import Database
from yeban.messaging.queues import CLASSIFY_TEXT, INTERACTIVE_QUEUE, TextReply, TextRequest
from yeban.results.completion import finish_job
from yeban.settings import Settings

CSV = "id,text,label\n1,包裹三天没动了,物流\n2,退款一直没到账,退款\n3,,退款\n4,怎么开发票,发票\n"


class FakeInteractiveWorker(threading.Thread):
    """Take messages from the interactive queue, and push the results of ``answer``."""

    def __init__(self, redis_url: str, answer: Callable[[TextRequest], TextReply | bytes | None]) -> None:
        super().__init__(daemon=True)
        self.seen: list[TextRequest] = []
        self._redis = redis.Redis.from_url(redis_url)
        self._answer = answer
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.is_set():
            message = self._redis.brpop([INTERACTIVE_QUEUE], timeout=0.1)
            if message is None:
                continue
            envelope = json.loads(message[1])
            assert envelope["headers"]["task"] == CLASSIFY_TEXT
            _args, kwargs, _options = json.loads(base64.b64decode(envelope["body"]))
            request = TextRequest.model_validate(kwargs)
            self.seen.append(request)
            reply = self._answer(request)
            if reply is not None:
                payload = reply if isinstance(reply, bytes) else reply.model_dump_json()
                with self._redis.pipeline(transaction=False) as pipe:
                    pipe.lpush(request.reply_to, payload).expire(request.reply_to, 600).execute()

    def stop(self) -> None:
        self._stopping.set()
        self.join(60)
        self._redis.close()


@pytest.fixture(autouse=True)
def fast_password_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords at the lowest cost; other tests cover the real one."""
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    passwords._dummy_hash.cache_clear()


@pytest.fixture(autouse=True)
def long_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a minute for each server, since the machine may be busy."""
    monkeypatch.setattr(authentication, "_REDIS_TIMEOUT_S", 60.0)
    for module, name in ((health, "TIMEOUT_S"), (metrics, "_TIMEOUT_S")):
        monkeypatch.setattr(module, name, 60.0)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A deadline of a minute, so that a busy machine fails no test."""
    return Settings(
        data_dir=tmp_path, max_upload_mb=1, max_text_chars=1000, interactive_deadline_ms=60_000, chunk_rows=2
    )


@pytest.fixture
def make_app(database_url: str, redis_url: str, settings: Settings) -> Iterator[Callable[..., Flask]]:
    """Make apps; every answer must match the API's description or be a valid page."""
    made: list[tuple[Flask, Conformance, SoundPages]] = []

    def make(**changes: Any) -> Flask:
        urls = {"database_url": database_url, "redis_url": redis_url}
        urls |= {name: changes.pop(name) for name in urls if name in changes}
        app = create_app(settings.model_copy(update=changes), **urls)
        app.test_client_class = BrowserClient
        made.append((app, Conformance(app), SoundPages(app)))
        return app

    yield make
    for app, _, _ in made:
        app.extensions["yeban"].close()
    assert [problem for _, answers, _ in made for problem in answers.problems] == []
    assert [problem for _, _, shown in made for problem in shown.problems] == []


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def start_worker(redis_url: str) -> Iterator[Callable[..., FakeInteractiveWorker]]:
    """Start a fake interactive worker, whose scores fall from label to label."""
    started: list[FakeInteractiveWorker] = []

    def answer(request: TextRequest) -> TextReply:
        count = len(request.label_set["labels"])
        return TextReply(
            scores=[(count - index) / (count * (count + 1) / 2) for index in range(count)],
            model=request.model,
            fingerprint="f" * 16,
            precision="int8",
            session="openvino",
            queue_ms=0.5,
            inference_ms=2.0,
        )

    def start(reply: Callable[[TextRequest], TextReply | bytes | None] = answer) -> FakeInteractiveWorker:
        worker = FakeInteractiveWorker(redis_url, reply)
        worker.start()
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.stop()


@pytest.fixture
def upload(client: FlaskClient) -> Callable[..., Any]:
    """Submit a job: ``content`` and ``name`` are the file, keyword arguments its form fields."""

    def send(
        content: str | bytes = CSV, name: str = "tickets.csv", *, headers: dict[str, str] | None = None, **fields: Any
    ) -> Any:
        data = content.encode() if isinstance(content, str) else content
        form = {"labels": "物流,退款,发票", **fields, "file": (io.BytesIO(data), name)}
        return client.post(
            "/api/v1/jobs",
            data={key: value for key, value in form.items() if value is not None},
            headers=headers,
            content_type="multipart/form-data",
        )

    return send


@pytest.fixture
def job_id(upload: Callable[..., Any]) -> str:
    """A queued job of :data:`CSV`."""
    response = upload()
    assert response.status_code == 201, response.text
    return str(response.json["id"])


@pytest.fixture
def tag(database: Database) -> Callable[[str], None]:
    """Tag every row with the first label; rows with a problem become errors."""

    def tag_job(public_id: str) -> None:
        with database.begin() as connection:
            job = connection.execute(text("SELECT id FROM job WHERE public_id = :id"), {"id": public_id}).scalar_one()
            connection.execute(text("UPDATE job SET running_at = now(), state = 'running' WHERE id = :id"), {"id": job})
            connection.execute(
                text(
                    "INSERT INTO result (job_id, row_no, status, label, score, margin, scores, error)"
                    " SELECT job_id, row_no, CASE WHEN problem IS NULL THEN 'ok' ELSE 'error' END,"
                    " CASE WHEN problem IS NULL THEN 0 END, CASE WHEN problem IS NULL THEN 0.7 END,"
                    " CASE WHEN problem IS NULL THEN 0.5 END,"
                    " CASE WHEN problem IS NULL THEN ARRAY[0.7, 0.2, 0.1]::real[] END, problem"
                    ' FROM "row" WHERE job_id = :id'
                ),
                {"id": job},
            )
            connection.execute(
                text(
                    "UPDATE chunk SET state = 'done', finished_at = now(), ok = counted.ok, errors = counted.errors"
                    " FROM (SELECT chunk.id, count(*) FILTER (WHERE status = 'ok') AS ok,"
                    " count(*) FILTER (WHERE status = 'error') AS errors FROM chunk JOIN result"
                    " ON result.job_id = chunk.job_id AND row_no BETWEEN first_row AND last_row"
                    " WHERE chunk.job_id = :id GROUP BY 1) AS counted WHERE counted.id = chunk.id"
                ),
                {"id": job},
            )
        assert finish_job(database, job)

    return tag_job


@pytest.fixture
def live_worker(database: Database) -> Callable[..., WorkerInfo]:
    """Record the heartbeat of a worker."""

    def record(role: str, model: str = "e5-small") -> WorkerInfo:
        worker = WorkerInfo(
            id=uuid.uuid4(),
            role=role,
            host="here",
            pid=1,
            models=[
                {
                    "name": model,
                    "kind": "embedding",
                    "fingerprint": "f" * 16,
                    "precision": "int8",
                    "session": "openvino",
                    "device": "cpu",
                }
            ],
            window=16,
        )
        beat(database, worker)
        return worker

    return record
