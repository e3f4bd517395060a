"""What has had its time is removed, each kind of it whatever becomes of the others."""

from __future__ import annotations

import io
import logging

import pytest

from tests.fixtures.scraping import Counting
from yeban import label_sets
from yeban.accounts import people
from yeban.accounts.viewer import UNRESTRICTED
from yeban.drafts import store_draft
from yeban.errors import ServiceUnavailable, msg
from yeban.jobs import retention
from yeban.labels import LabelSet
from yeban.maintenance.cleanup import tidy
from yeban.settings import Settings

LEFT = {
    "jobs": "SELECT count(*) FROM job",
    "embeddings": "SELECT count(*) FROM embedding",
    "drafts": "SELECT count(*) FROM draft_part",
    "label_sets": "SELECT count(*) FROM label_set_version",
    "messages": "SELECT count(*) FROM webhook_delivery",
    "secrets": "SELECT count(*) FROM webhook_former_secret",
    "sessions": "SELECT count(*) FROM ended_session",
}


@pytest.fixture
def old(work):
    """Something of each kind that has had its time, and a job that has its webhook's message."""
    database = work.database
    retention.delete_job(database, work.completed(2).id, viewer=UNRESTRICTED)
    work.completed(2)
    work.execute("UPDATE job SET deleted_at = now() - interval '1 hour' WHERE deleted_at IS NOT NULL")
    work.execute("INSERT INTO embedding SELECT id, 1, 2, 'x', '' FROM job WHERE deleted_at IS NULL")
    work.execute("UPDATE job SET ended_at = now() - interval '3 days' WHERE deleted_at IS NULL")
    store_draft(database, io.BytesIO(b"text\n1\n"), name="a.csv", sha256="", size_bytes=7, viewer=UNRESTRICTED)
    work.execute("UPDATE draft SET created_at = now() - interval '25 hours'")
    made = label_sets.create(database, "set", LabelSet.of("a,b"), viewer=UNRESTRICTED)
    label_sets.delete(database, made.id, viewer=UNRESTRICTED)
    work.execute("INSERT INTO webhook (url, secret) VALUES ('https://example.com', 's')")
    work.execute(
        "INSERT INTO webhook_delivery (webhook_id, job_id, event, payload, made_at) SELECT webhook.id, job.id,"
        " 'job.completed', '{}', now() - interval '31 days' FROM webhook, job WHERE deleted_at IS NULL"
    )
    work.execute("INSERT INTO webhook_former_secret (webhook_id, secret, until) SELECT id, 'f', now() FROM webhook")
    people.end_session(database, "x")
    work.execute("UPDATE ended_session SET ended_at = now() - interval '3 days'")
    return work


def left(work):
    return {what: work.column(statement)[0] for what, statement in LEFT.items()}


def always():
    return True


def test_each_kind_is_removed_and_counted(old, tmp_path):
    assert left(old) == {**dict.fromkeys(LEFT, 1), "jobs": 2}
    counted = Counting()
    tidy(old.database, Settings(data_dir=tmp_path, embedding_days=2), wanted=always)
    assert left(old) == {**dict.fromkeys(LEFT, 0), "jobs": 1}
    assert {what: counted("yeban_removed_total", what=what) for what in LEFT} == dict.fromkeys(LEFT, 1)


def test_without_settings_jobs_and_their_embeddings_are_kept(old, tmp_path):
    tidy(old.database, Settings(data_dir=tmp_path), wanted=always)
    assert (left(old)["jobs"], left(old)["embeddings"]) == (1, 1)
    tidy(old.database, Settings(data_dir=tmp_path, retention_days=2), wanted=always)
    old.execute("UPDATE job SET deleted_at = now() - interval '1 hour' WHERE deleted_at IS NOT NULL")
    tidy(old.database, Settings(data_dir=tmp_path), wanted=always)
    assert (left(old)["jobs"], left(old)["embeddings"]) == (0, 0)


def test_what_cannot_be_removed_does_not_keep_the_rest(old, tmp_path, monkeypatch, caplog):
    def broken(*_, **__):
        raise RuntimeError("包裹")

    monkeypatch.setattr(retention, "purge", broken)
    tidy(old.database, Settings(data_dir=tmp_path), wanted=always)
    assert left(old) == {**dict.fromkeys(LEFT, 0), "jobs": 2, "embeddings": 1}
    assert [
        (record.levelno, record.what) for record in caplog.records if record.name == "yeban.maintenance.cleanup"
    ] == [(logging.ERROR, "jobs")]


def test_a_database_that_is_away_is_told_of_once(old, tmp_path, monkeypatch):
    def away(*_, **__):
        raise ServiceUnavailable(msg("away"))

    monkeypatch.setattr(retention, "purge", away)
    with pytest.raises(ServiceUnavailable):
        tidy(old.database, Settings(data_dir=tmp_path), wanted=always)


def test_a_worker_that_stops_removes_nothing_more(old, tmp_path):
    tidy(old.database, Settings(data_dir=tmp_path, embedding_days=2), wanted=lambda: False)
    assert left(old) == {**dict.fromkeys(LEFT, 1), "jobs": 2}
