"""Counters of chunks, texts and failures."""

from __future__ import annotations

import time
import uuid

import pytest

from tests.fixtures.fake_classifier import FakeClassifier
from tests.fixtures.scraping import Counting
from worker.tasks.classify_chunks import ChunkRunner
from worker.tasks.classify_text import TextRunner
from worker.tasks.in_flight import InFlight
from worker.tasks.models import Models
from yeban.accounts.viewer import UNRESTRICTED
from yeban.chunks import leases, outcomes
from yeban.chunks.outcomes import ChunkOutcome
from yeban.jobs import control
from yeban.labels import LabelSet
from yeban.messaging.queues import ChunkHint, TextRequest, make_redis
from yeban.results.completion import finish_job


@pytest.fixture
def counted():
    return Counting()


@pytest.fixture
def run(work, sender):
    """Look at every chunk of a job once."""
    runner = ChunkRunner(
        database=work.database,
        sender=sender,
        models=Models(lambda _name: FakeClassifier()),
        in_flight=InFlight(),
        worker_id=uuid.uuid4(),
        lease_s=60,
        on_broken_engine=lambda _reason: None,
    )

    def run(job) -> None:
        work.execute("UPDATE chunk SET not_before = NULL")
        runner([ChunkHint(chunk_id=chunk_id) for chunk_id in work.chunk_ids(job)])

    return run


def test_a_job_from_its_rows_to_its_end(work, run, counted):
    job = work.job(["a,甲", ",甲", "c,甲", "d,甲", "e,甲"], chunk_rows=2)
    assert counted("yeban_jobs_created_total") == 1
    assert counted("yeban_uploaded_rows_total") == 5
    run(job)
    assert finish_job(work.database, job.internal_id)
    assert counted("yeban_rows_total", status="ok") == 4
    assert counted("yeban_rows_total", status="error") == 1
    assert counted("yeban_chunks_done_total") == 3
    assert counted("yeban_group_members_sum", role="bulk") == 3
    assert counted("yeban_group_members_count", role="bulk") == 1
    assert counted("yeban_queue_seconds_count", role="bulk") == 3
    assert counted("yeban_jobs_ended_total", state="completed_with_errors") == 1
    assert counted("yeban_refinements_total", outcome="skipped") == 1


def test_an_engine_call(work, run, counted):
    run(work.job(4))
    for name, value in {
        "yeban_texts_total": 4,
        "yeban_tokens_total": 40,
        "yeban_padded_tokens_total": 48,
        "yeban_padding_ratio_sum": 1.2,
        "yeban_tokenise_seconds_sum": 0.001,
        "yeban_inference_seconds_sum": 0.002,
    }.items():
        assert counted(name, model="fake") == pytest.approx(value), name


def test_a_poison_row_is_tried_again_halved_and_given_up(work, run, counted):
    job = work.job(["a,甲", "POISON,甲"], chunk_rows=2)
    for _ in range(6):
        run(job)
    assert counted("yeban_chunks_retried_total") == 2  # together, and the parted row once more
    assert counted("yeban_chunks_bisected_total") == 1
    assert counted("yeban_rows_quarantined_total") == 1
    assert counted("yeban_rows_total", status="error") == 1
    assert counted("yeban_errors_total", program="worker", code="internal") == 4


def test_a_job_that_cannot_be_scored_fails_once(work, run, counted):
    run(work.job(8, label_set=LabelSet.of("TOO LONG,乙")))
    assert counted("yeban_jobs_ended_total", state="failed") == 1
    assert counted("yeban_errors_total", program="worker", code="invalid_labels") == 1


def test_results_that_come_too_late(work, counted, sweep):
    job = work.job(4)
    (held,) = leases.claim(work.database, work.chunk_ids(job), worker_id=uuid.uuid4(), lease_s=60)
    work.execute("UPDATE chunk SET lease_until = now() - interval '1 second'")
    sweep()
    outcomes.finish_chunks(work.database, [ChunkOutcome(lease=held, results=[])])
    assert counted("yeban_leases_expired_total") == 1
    assert counted("yeban_chunks_late_total") == 1
    assert counted("yeban_chunks_done_total") == 0


def test_hints_that_are_sent_and_lost(work, counted, sweep):
    work.job(8)
    sweep()
    assert counted("yeban_hints_sent_total") == 2
    work.execute("UPDATE chunk SET hinted_at = now() - interval '1 hour'")
    sweep()
    assert counted("yeban_hints_lost_total") == 2


def test_jobs_that_end_unfinished(work, counted, sweep):
    cancelled, expired = work.job(4), work.job(4)
    control.cancel(work.database, cancelled.id, viewer=UNRESTRICTED)
    control.cancel(work.database, cancelled.id, viewer=UNRESTRICTED)
    work.execute(f"UPDATE job SET expires_at = now() WHERE id = {expired.internal_id}")  # noqa: S608
    sweep()
    assert counted("yeban_jobs_ended_total", state="cancelled") == 1
    assert counted("yeban_jobs_ended_total", state="expired") == 1


def test_single_texts(redis_url, counted):
    def request(text: str, *, age_s: float, labels: str = "甲,乙") -> TextRequest:
        sent_at = time.time() - age_s
        return TextRequest(
            text=text,
            label_set=LabelSet.of(labels).to_json(),
            model="fake",
            reply_to=f"yeban:reply:{uuid.uuid4().hex}",
            sent_at=sent_at,
            deadline=sent_at + 600,
        )

    began = time.time()
    with make_redis(redis_url) as redis:
        run = TextRunner(redis=redis, models=Models(lambda _name: FakeClassifier()), in_flight=InFlight())
        run([request("a", age_s=3), request("NAN", age_s=0), request("b", age_s=1000)])
    assert counted("yeban_group_members_sum", role="interactive") == 2
    assert counted("yeban_texts_late_total") == 1
    assert counted("yeban_errors_total", program="worker", code="engine_failed") == 1
    assert counted("yeban_queue_seconds_count", role="interactive") == 1
    assert 3 <= counted("yeban_queue_seconds_sum", role="interactive") <= 3 + time.time() - began
