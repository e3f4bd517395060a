"""Parts of a run without the run: a job that was tagged rightly, for the invariants to find fault with."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from tests.faults.invariants import Tally, check_jobs
from tests.faults.predictable import PredictableClassifier
from tests.faults.telling import check_telling, is_told
from tests.faults.users import Asked, Users, make_file, upload_options
from tests.fixtures.receiver import FakeReceiver
from tests.fixtures.waiting import wait_until
from web.app import create_app
from worker.tasks.classify_chunks import ChunkRunner
from worker.tasks.in_flight import InFlight
from worker.tasks.models import Models
from yeban.messaging.queues import ChunkHint, TaskSender
from yeban.results.completion import finish_job
from yeban.settings import Settings
from yeban.webhooks.announcements import announce
from yeban.webhooks.notifier import Notifier


class WebInProcess:
    """Answers API calls by the real web app, without a server between."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.violations: list[str] = []

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        params = options.get("params")
        answer = self._client.open(f"/api/v1{path}", method=method, query_string=params, json=options.get("json"))
        return httpx.Response(answer.status_code, headers=dict(answer.headers), content=answer.data)


@pytest.fixture
def tagged(work, database_url, redis_url, tmp_path) -> Iterator[SimpleNamespace]:
    """A job with blank and poison rows, tagged by the real chunk runner with the predictable model."""
    settings = Settings(data_dir=tmp_path, model="predictable-a", chunk_rows=8, webhook_private_addresses=True)
    app = create_app(settings, database_url, redis_url)
    asked = _file_with_all(random.Random(3))
    request = upload_options(asked)
    name, content = request["files"]["file"]
    with app.test_client() as client:
        form = {**request["data"], "file": (io.BytesIO(content), name)}
        created = client.post("/api/v1/jobs", data=form, headers=request["headers"])
        assert created.status_code == 201, created.text
        job_id = created.json["id"]
        runner = ChunkRunner(
            database=work.database,
            sender=TaskSender.connect("tests", settings, redis_url),
            models=Models(lambda model: PredictableClassifier(model, per_text_s=0, at_work=lambda: None)),
            in_flight=InFlight(),
            worker_id=work.column("SELECT gen_random_uuid()")[0],
            lease_s=60,
            on_broken_engine=pytest.fail,
        )
        while chunks := work.column("SELECT id FROM chunk WHERE state = 'queued'"):
            work.execute("UPDATE chunk SET not_before = NULL")
            runner([ChunkHint(chunk_id=chunk) for chunk in chunks])
        assert finish_job(work.database, work.column("SELECT id FROM job")[0])
        users = Users(WebInProcess(client), seed=3, jobs={asked.key: job_id}, asked={asked.key: asked})
        yield SimpleNamespace(asked=asked, users=users)
    app.extensions["yeban"].close()


def _file_with_all(rng: random.Random) -> Asked:
    while True:
        asked = make_file(rng, "t", rows=60)
        problems = {asked.texts[row - 1][:1] for row in asked.errors}
        if problems == {"", "P"} and asked.refine and asked.model == "predictable-a":
            return asked


@pytest.fixture
def check(work, tagged) -> Callable[[], Tally]:
    """The invariants' verdict on the tagged job."""

    def check() -> Tally:
        with _connect(work) as connection:
            return check_jobs(connection, tagged.users)

    return check


@pytest.fixture
def told(work, tagged) -> Iterator[SimpleNamespace]:
    """The tagged job's end, told to a receiver. ``check`` is the verdict on that."""
    receiver = FakeReceiver()
    tagged.users.be_told(receiver.url())
    notifier = Notifier(work.database, private=True)

    def check() -> Tally:
        with _connect(work) as connection:
            return check_telling(connection, tagged.users, receiver.received)

    try:
        with _connect(work) as connection:
            assert not is_told(connection)
            announce(work.database)
            notifier.turn()
            wait_until(lambda: is_told(connection), what="a message that arrived")
        yield SimpleNamespace(check=check, received=receiver.received)
    finally:
        notifier.stop(5)
        receiver.stop()


def _connect(work: Any) -> psycopg.Connection[dict[str, Any]]:
    url = work.database.engine.url
    return psycopg.connect(
        host=str(url.query["host"]), user=url.username, dbname=url.database, row_factory=dict_row, autocommit=True
    )
