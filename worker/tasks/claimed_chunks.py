"""Claimed chunks with their rows, labels and model, and their scores."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.engine.classifier import Batch
from worker.tasks.in_flight import Work
from worker.tasks.models import Model, Models, rounded
from yeban.chunks import leases
from yeban.chunks.leases import Lease, StoredRow
from yeban.chunks.outcomes import ChunkOutcome, Embedded, RowResult
from yeban.database.engine import Database
from yeban.errors import EngineUnavailable, InvalidLabels, InvalidTemplate, ModelUnusable, UnknownModel, msg
from yeban.jobs.control import fail_job
from yeban.labels import LabelSet, Status
from yeban.telemetry import metrics, tracing

log = logging.getLogger(__name__)

#: Errors that fail the whole job, not one of its rows.
JOB_ERRORS = (EngineUnavailable, InvalidLabels, InvalidTemplate, ModelUnusable, UnknownModel)

_MAX_LABEL_SETS = 200


@dataclass(frozen=True, kw_only=True)
class ClaimedChunk:
    """A chunk that this process may score."""

    lease: Lease
    model: Model
    label_set: LabelSet
    rows: Sequence[StoredRow]
    claimed_at: float  # monotonic seconds

    def batch(self) -> Batch:
        """The texts of all rows without a problem."""
        texts = tuple(row.text for row in self.rows if row.problem is None)
        return Batch(texts=texts, label_set=self.label_set, embed=self.lease.refine)

    def weight(self) -> int:
        """An estimate of the tokens that the engine will read."""
        return self.model.classifier.weight(self.batch())

    def spread(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Spread ``(n_texts, dimension)`` over ``(n_rows, dimension)``, with zeros for rows without a text."""
        whole = np.zeros((len(self.rows), vectors.shape[1]), np.float32)
        whole[[at for at, row in enumerate(self.rows) if row.problem is None]] = vectors
        return whole


@dataclass(frozen=True, kw_only=True)
class ScoredChunk:
    """A chunk with scores ``(n_texts, n_labels)``, and embeddings if its job is refined."""

    chunk: ClaimedChunk
    scores: NDArray[np.float32]
    embedded: Embedded | None

    def outcome(self) -> ChunkOutcome:
        """The chunk's results for the database."""
        return ChunkOutcome(lease=self.chunk.lease, results=self._results(), embedded=self.embedded)

    def _results(self) -> list[RowResult]:
        scored = iter(rounded(self.scores))
        results = []
        for row in self.chunk.rows:
            if row.problem is not None:
                results.append(RowResult(row.row_no, Status.ERROR, error=row.problem))
                continue
            scores = next(scored)
            decision = self.chunk.label_set.decide(scores)
            results.append(
                RowResult(row.row_no, decision.status, decision.best, decision.score, decision.margin, scores)
            )
        return results


class ChunkReader:
    """Loads rows, labels and models of leases. Thread-safe; one instance a process."""

    def __init__(self, database: Database, models: Models) -> None:
        self._database = database
        self._models = models
        # A job's labels never change, so they are parsed and checked once.
        self._label_sets: dict[tuple[int, str], tuple[dict[str, Any], LabelSet]] = {}

    def read(self, claimed: Sequence[Lease], work: Work) -> list[ClaimedChunk]:
        """Load what scoring needs. A job that cannot be scored fails, and its chunks are released."""
        claimed_at = time.monotonic()
        by_job: defaultdict[int, list[Lease]] = defaultdict(list)
        for lease in claimed:
            by_job[lease.job_id].append(lease)
        usable: list[tuple[list[Lease], Model, LabelSet]] = []
        for job_id, of_job in by_job.items():
            try:
                usable.append((of_job, *self._model_and_labels(of_job[0], work)))
            except JOB_ERRORS as error:
                metrics.ERRORS.labels(program="worker", code=error.code).inc()
                log.error("job cannot be scored", extra={"job": job_id, "code": error.code})
                fail_job(self._database, job_id, error.message)
                leases.release(self._database, of_job)
        with tracing.span("read") as span:
            rows = leases.read_rows(self._database, [lease for of_job, _, _ in usable for lease in of_job])
            span.set_attributes({"yeban.rows": sum(map(len, rows.values()))})
        return [
            ClaimedChunk(
                lease=lease, model=model, label_set=label_set, rows=rows[lease.chunk_id], claimed_at=claimed_at
            )
            for of_job, model, label_set in usable
            for lease in of_job
        ]

    def _model_and_labels(self, lease: Lease, work: Work) -> tuple[Model, LabelSet]:
        with work.waiting():  # building a model on its first use takes minutes
            model = self._models.get(lease.model)
        mine = model.classifier.info.fingerprint
        pinned = lease.model_fingerprint or leases.pin_model(self._database, lease.job_id, mine)
        if pinned != mine:
            raise ModelUnusable(
                msg(
                    "This job started with another build of %(model)s (%(pinned)s, here %(mine)s). Submit it "
                    "again to tag every row with one model.",
                    model=lease.model,
                    pinned=pinned[:12],
                    mine=mine[:12],
                )
            )
        # After a restore, another job may have this id.
        known = self._label_sets.get((lease.job_id, mine))
        if known is not None and known[0] == lease.label_set:
            return model, known[1]
        label_set = LabelSet.from_json(lease.label_set)
        model.classifier.check(label_set)
        if len(self._label_sets) >= _MAX_LABEL_SETS:
            self._label_sets.clear()
        self._label_sets[lease.job_id, mine] = lease.label_set, label_set
        return model, label_set
