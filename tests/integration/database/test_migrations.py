from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from tests.fixtures.jobs import Work
from yeban.database import migrations
from yeban.database.engine import SCHEMA_REVISION, Database
from yeban.database.migrations import migrate
from yeban.errors import Message, msg

_ADVISORY_LOCKS = text(
    "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database"
    " WHERE locktype = 'advisory' AND datname = current_database()"
)


def test_no_lock_outlives_the_migration(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a pooler in transaction mode the session lives on, and its locks would with it."""
    left: list[int] = []

    class Watched(Database):
        def close(self) -> None:
            with database.begin() as connection:
                left.append(connection.scalar(_ADVISORY_LOCKS) or 0)
            super().close()

    monkeypatch.setattr(migrations, "Database", Watched)

    migrate(database.engine.url.render_as_string(hide_password=False))

    assert left == [0]


def test_several_may_migrate_at_once(database: Database) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    migrate(url, "base")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, [url] * 4))

    assert database.schema_revision() == SCHEMA_REVISION


#: What was stored before messages were, what it became, and what it is after a downgrade.
_OLD = {
    "empty text": (msg("empty text"), "empty text"),
    "2 cells where the header has 3": (
        msg("%(read)s cells where the header has %(columns)s", read="2", columns="3"),
        "2 cells where the header has 3",
    ),
    "The engine failed 3 times: EngineFailed: ONNX Runtime failed: 5% of it": (
        msg(
            "The engine failed %(attempt)s times: %(reason)s",
            attempt="3",
            reason=msg("ONNX Runtime failed: %(error)s", error="5% of it"),
        ),
        "The engine failed 3 times: ONNX Runtime failed: 5% of it",
    ),
    "RuntimeError: 100% of %(this)s\nand “that”": (
        Message.verbatim("RuntimeError: 100% of %(this)s\nand “that”"),
        "RuntimeError: 100% of %(this)s\nand “that”",
    ),
}


_REASONS = {"job": "error", '"row"': "problem", "chunk": "last_error", "result": "error"}


def test_stored_sentences_become_messages_and_sentences_again(work: Work) -> None:
    url = work.database.engine.url.render_as_string(hide_password=False)
    jobs = [work.job(1) for _ in _OLD]
    for job in jobs:
        work.finish(work.claim(work.chunk_ids(job)))
    migrate(url, "-1")
    for job, sentence in zip(jobs, _OLD, strict=True):
        for table, column in _REASONS.items():
            key = "id" if table == "job" else "job_id"
            statement = f"UPDATE {table} SET {column} = :said WHERE {key} = :id"  # noqa: S608
            work.execute(statement, said=sentence, id=job.internal_id)
        report = json.dumps({"state": "skipped", "reason": sentence, "rows": 1})
        work.execute("UPDATE job SET refinement = :report WHERE id = :id", report=report, id=job.internal_id)

    migrate(url)

    messages = [message.to_json() for message, _ in _OLD.values()]
    assert _stored(work) == dict.fromkeys(_REASONS, messages)
    assert work.column("SELECT refinement FROM job ORDER BY id") == [
        {"state": "skipped", "reason": message, "rows": 1} for message in messages
    ]

    migrate(url, "-1")

    sentences = [sentence for _, sentence in _OLD.values()]
    assert _stored(work) == dict.fromkeys(_REASONS, sentences)
    assert work.column("SELECT refinement ->> 'reason' FROM job ORDER BY id") == sentences


def _stored(work: Work) -> dict[str, list[object]]:
    return {
        table: work.column(f"SELECT {column} FROM {table} ORDER BY {'id' if table == 'job' else 'job_id'}")  # noqa: S608
        for table, column in _REASONS.items()
    }
