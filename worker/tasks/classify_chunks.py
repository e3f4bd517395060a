"""Score groups of chunks: claim, read, score in slices, store each slice.

A cross-encoder needs minutes for the work that a bi-encoder does in a second. Slices of a chunk or two show progress
and bound the loss when a worker is killed. A group releases the chunks that it has not started after ten seconds, so
that other jobs do not wait for it.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray
from opentelemetry.trace import SpanKind

from worker.engine.classifier import Batch
from worker.refinement.vectors import GEOMETRY_MODEL, pack
from worker.tasks.claimed_chunks import JOB_ERRORS, ChunkReader, ClaimedChunk, ScoredChunk
from worker.tasks.in_flight import InFlight, Work
from worker.tasks.locks import SharedLock
from worker.tasks.models import Models, slices
from yeban.chunks import hints, leases, outcomes
from yeban.chunks.leases import Lease
from yeban.chunks.outcomes import ALONE_FROM_ATTEMPT, Embedded
from yeban.database.engine import Database
from yeban.errors import Message, ServiceUnavailable, message_of, msg
from yeban.jobs.control import fail_job
from yeban.messaging.queues import SEND_ERRORS, ChunkHint, TaskSender
from yeban.runtime.programs import BULK_ROLE
from yeban.telemetry import logs, metrics, tracing

log = logging.getLogger(__name__)

# A text that every engine can score: if it fails too, the engine is broken, not the rows.
_CANARY = "你好"
_ENGINE_RETRY_DELAY_S = 5.0
_MAX_ENGINE_FAILURES = 8

#: Tokens of one engine call, unless a single chunk has more: a whole group for a bi-encoder, about one chunk for a
#: cross-encoder with ten labels.
_SLICE_TOKENS = 65_536
#: Seconds after which a group starts no further slice, so that chunks of other jobs get their turn.
_GROUP_S = 10.0
#: Seconds of waiting for the engine after which the group checks again which chunks are wanted.
_STALE_S = 1.0


class ChunkRunner:
    """Runs groups of chunk hints. Thread-safe; one instance a process."""

    def __init__(
        self,
        *,
        database: Database,
        sender: TaskSender,
        models: Models,
        in_flight: InFlight,
        worker_id: uuid.UUID,
        lease_s: float,
        on_broken_engine: Callable[[str], None],
    ) -> None:
        """``on_broken_engine`` receives a reason when the engine fails on a known text."""
        self._database = database
        self._sender = sender
        self._models = models
        self._in_flight = in_flight
        self._worker_id = worker_id
        self._lease_s = lease_s
        self._on_broken_engine = on_broken_engine
        self._lock = SharedLock()
        self._reader = ChunkReader(database, models)

    def __call__(self, group: Sequence[ChunkHint]) -> None:
        """Score the hinted chunks. Failures that leases and the sweep recover from are logged, not raised."""
        chunk_ids = list(dict.fromkeys(hint.chunk_id for hint in group))
        facts = {"yeban.chunk.ids": chunk_ids}
        with logs.bound(chunks=chunk_ids), tracing.span("chunk group", facts, kind=SpanKind.CONSUMER):
            self._run(chunk_ids)

    def _run(self, chunk_ids: Sequence[int]) -> None:
        try:
            if self._in_flight.stopping:
                hints.drop_hints(self._database, chunk_ids)
                return
            with ExitStack() as held:
                self._claim_and_score(chunk_ids, held)
            hints.top_up(self._database, self._sender)
        except ServiceUnavailable as error:
            log.warning("group given up, its leases will expire", extra={"error": error.detail})

    def _claim_and_score(self, chunk_ids: Sequence[int], held: ExitStack) -> None:
        """``held`` counts the claimed chunks as in flight until it is closed."""
        with self._lock.shared():
            with tracing.span("claim") as span:
                claimed = leases.claim(self._database, chunk_ids, worker_id=self._worker_id, lease_s=self._lease_s)
                jobs = sorted({lease.job_id for lease in claimed})
                span.set_attributes({"yeban.chunks": len(claimed), "yeban.job.ids": jobs})
            if not claimed:
                return
            metrics.GROUP_MEMBERS.labels(role=BULK_ROLE).observe(len(claimed))
            work = held.enter_context(self._in_flight.hold(claimed[0].token))
            suspect = self._run_together(claimed, work)
        if suspect is not None:
            # It may kill this process, which must not cost other chunks an attempt.
            with ExitStack() as alone:
                with work.waiting():
                    alone.enter_context(self._lock.exclusive())
                self._score_all(self._wanted([suspect]), work)

    def _run_together(self, claimed: Sequence[Lease], work: Work) -> ClaimedChunk | None:
        """Score chunks together. Returns the one that must be scored alone, if any."""
        suspects = [lease for lease in claimed if lease.attempt >= ALONE_FROM_ATTEMPT]
        leases.release(self._database, suspects[1:])
        ready = self._reader.read([lease for lease in claimed if lease not in suspects[1:]], work)
        self._score_all([item for item in ready if item.lease not in suspects], work)
        return next((item for item in ready if item.lease in suspects), None)

    def _score_all(self, items: Sequence[ClaimedChunk], work: Work) -> None:
        """Score slices until the group is done or out of time, or the process stops."""
        by_model: defaultdict[int, list[ClaimedChunk]] = defaultdict(list)
        for item in items:
            by_model[id(item.model)].append(item)
        parts = [part for same in by_model.values() for part in slices(same, ClaimedChunk.weight, _SLICE_TOKENS)]
        ends_at = time.monotonic() + _GROUP_S
        for number, part in enumerate(parts):
            if number and (self._in_flight.stopping or time.monotonic() > ends_at):
                leases.release(self._database, [item.lease for rest in parts[number:] for item in rest])
                return
            self._score(self._wanted(part) if number else part, work)

    def _score(self, items: Sequence[ClaimedChunk], work: Work) -> None:
        """Score one slice and store its results."""
        if not items:
            return
        try:
            scored = self._engine_call(items, work)
        except ServiceUnavailable:
            raise
        except Exception as error:
            # An error of the engine concerns these rows or the engine, and must not lose the rest of the group.
            if not self._in_flight.abandoned:
                chunks = [item.lease.chunk_id for item in items]
                metrics.ERRORS.labels(program="worker", code=metrics.code_of(error)).inc()
                log.warning("engine call failed", exc_info=True, extra={"chunks": chunks})
            self._recover(items, message_of(error), work)
            return
        if scored:
            with tracing.span("store", {"yeban.chunks": len(scored)}):
                complete = outcomes.finish_chunks(self._database, [done.outcome() for done in scored])
            for job_id in complete:
                self._finish_job(job_id)

    def _engine_call(self, items: Sequence[ClaimedChunk], work: Work) -> list[ScoredChunk]:
        """Scores of the items that are still wanted when the engine becomes free."""
        model = items[0].model
        plan = model.plan([item.batch() for item in items])
        asked_at = time.monotonic()
        with model.turn(work):
            wanted = items
            if self._in_flight.stopping:
                leases.release(self._database, [item.lease for item in items])
                wanted = []
            elif time.monotonic() - asked_at > _STALE_S:
                wanted = self._wanted(items)
            if not wanted:
                return []
            if len(wanted) < len(items):
                plan = model.plan([item.batch() for item in wanted])
            turn = time.monotonic()
            for item in wanted:
                metrics.QUEUE_SECONDS.labels(role=BULK_ROLE).observe(turn - item.claimed_at)
            scored = model.run(plan, work)
        made = scored.vectors or [None] * len(wanted)
        return [
            ScoredChunk(chunk=item, scores=scores, embedded=self._embedded(item, vectors, work))
            for item, scores, vectors in zip(wanted, scored.scores, made, strict=True)
        ]

    def _embedded(self, item: ClaimedChunk, vectors: NDArray[np.float32] | None, work: Work) -> Embedded | None:
        """Packed embeddings for refinement, from another model if the chunk's own computes none."""
        if not item.lease.refine:
            return None
        model = item.model
        if vectors is None:
            try:
                with work.waiting():
                    model = self._models.get(GEOMETRY_MODEL)
                with model.turn(work):
                    vectors = model.classifier.embed(item.batch().texts)
            except JOB_ERRORS as error:
                # Only refinement fails, and its report gives the reason.
                log.warning("no embeddings for refinement", extra={"job": item.lease.job_id, "error": error.detail})
                return None
        if vectors is None:
            return None
        return Embedded(encoder=model.classifier.info.fingerprint, vectors=pack(item.spread(vectors)))

    def _wanted(self, items: Sequence[ClaimedChunk]) -> list[ClaimedChunk]:
        """The items that their jobs still want; releases the others."""
        wanted = {lease.chunk_id for lease in leases.keep_wanted(self._database, [item.lease for item in items])}
        return [item for item in items if item.lease.chunk_id in wanted]

    def _recover(self, items: Sequence[ClaimedChunk], reason: Message, work: Work) -> None:
        sound = not self._in_flight.abandoned and self._engine_is_sound(items[0], work)
        if self._in_flight.abandoned:  # the process interrupted the call
            leases.release(self._database, [item.lease for item in items])
            return
        if sound:
            for item in items:
                action = outcomes.fail_chunk(self._database, item.lease, reason)
                facts = {"job": item.lease.job_id, "chunk": item.lease.chunk_id, "action": action.value}
                log.info("chunk failed", extra=facts)
            return
        for item in items:
            if item.lease.attempt >= _MAX_ENGINE_FAILURES:
                why = msg("The engine failed %(attempt)s times: %(reason)s", attempt=item.lease.attempt, reason=reason)
                fail_job(self._database, item.lease.job_id, why)
            outcomes.defer_chunk(self._database, item.lease, reason, delay_s=_ENGINE_RETRY_DELAY_S)
        # Without the reason, which may quote a text; it is stored with the chunks.
        self._on_broken_engine("the engine failed on a known text")

    def _engine_is_sound(self, item: ClaimedChunk, work: Work) -> bool:
        try:
            item.model.score([Batch(texts=(_CANARY,), label_set=item.label_set)], work)
        except Exception:
            log.exception("engine failed on a known text")
            return False
        return True

    def _finish_job(self, job_id: int) -> None:
        try:
            self._sender.finish_job(job_id)
        except SEND_ERRORS as error:
            log.warning("finish task not sent, left to the sweep", extra={"job": job_id, "error": str(error)})
