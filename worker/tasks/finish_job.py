"""Finish a job: refine it if requested and possible, then store its summary."""

from __future__ import annotations

import heapq
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from worker.refinement import Examples, Refiner, Rows, fit
from worker.refinement.ngrams import MOST_CHARS
from worker.refinement.refiner import NONE, UNKNOWN, sample
from worker.refinement.review_choice import suggest
from worker.refinement.vectors import GEOMETRY_MODEL, dimension_of, unpack
from worker.tasks.models import Models
from yeban.database.engine import Database
from yeban.errors import msg
from yeban.jobs.reports import RefinementReport
from yeban.labels import LabelSet, Status
from yeban.results import refinement_data
from yeban.results.completion import NotRefined, Refinement, ScoredJob, finish_job
from yeban.results.refinement_data import Block, Material, ScoredRow

log = logging.getLogger(__name__)

#: Minimum rows of a file, and for each of its labels; from fewer, refinement learns mostly chance.
MIN_ROWS = 100
MIN_ROWS_A_LABEL = 10
_PAGE_ROWS = 8_192
_SHOWN_CHANGES = 20
_SUGGESTED = 50
# array_send: a header of three int32 and one pair of int32 for the dimension, then (length, float4) each.
_ARRAY_HEADER, _ARRAY_ITEM, _ITEM_LENGTH = 20, 8, 4


class JobFinisher:
    """Finishes jobs by their internal id; one instance a process."""

    def __init__(self, *, database: Database, models: Models) -> None:
        self._database = database
        self._models = models

    def __call__(self, job_id: int) -> bool:
        """Finish the job if it is ready. Returns False otherwise; raises ``ServiceUnavailable`` without a database."""
        return finish_job(self._database, job_id, self._refine)

    def _refine(self, job: ScoredJob, check: Callable[[], None]) -> Refinement:
        started = time.monotonic()
        material = refinement_data.survey(self._database, job.id)
        _check(job, material)
        dimension = dimension_of(material.bytes_a_row)
        corrected = {
            row_no: labels[0] if labels else NONE
            for row_no, labels in refinement_data.corrected(self._database, job.id).items()
        }
        learnt_from = refinement_data.sampled(
            self._database,
            job.id,
            (sample(job.row_count, (row_no - 1 for row_no in corrected)) + 1).tolist(),
            chars=MOST_CHARS,
            bytes_a_row=material.bytes_a_row,
        )
        if not learnt_from:
            raise NotRefined(msg("None of the sampled rows could be scored."))
        check()
        rows = _rows(learnt_from, np.stack([unpack(row.vector or b"", dimension)[0] for row in learnt_from]))
        known = np.array([corrected.get(row.row_no, UNKNOWN) for row in learnt_from], np.intp)
        refiner = fit(rows, known, self._examples(job.label_set, material))
        check()
        suggested = suggest(rows, refiner(rows), known, _SUGGESTED)
        changes = _Changes()
        decided = list(self._decisions(job, refiner, dimension, changes, check))
        report = RefinementReport(
            state="done",
            rows=material.scored,
            changed=changes.total,
            moves=tuple((*move, count) for move, count in changes.moves.most_common(_SHOWN_CHANGES)),
            examples=tuple(row_no for _, row_no in sorted(changes.most_confident, reverse=True)),
            suggested=tuple(learnt_from[at].row_no for at in suggested),
            changed_since=changes.since if changes.again else None,
            corrections=len(corrected),
            sample_rows=len(learnt_from),
            temper=round(refiner.temper, 4),
            seconds=round(time.monotonic() - started, 3),
        )
        return Refinement(rows=(row for page in decided for row in page), report=report)

    def _decisions(
        self, job: ScoredJob, refiner: Refiner, dimension: int, changes: _Changes, check: Callable[[], None]
    ) -> Iterator[_Page]:
        for first in range(1, job.row_count + 1, _PAGE_ROWS):
            last = min(first + _PAGE_ROWS - 1, job.row_count)
            scored, blocks = refinement_data.read_range(self._database, job.id, first, last, chars=MOST_CHARS)
            if scored:
                row_nos = np.array([row.row_no for row in scored])
                vectors = _placed(blocks, first, last, dimension)[row_nos - first]
                page = _decide(row_nos, refiner, _rows(scored, vectors), job.label_set.effective_threshold)
                changes.count(page, scored)
                yield page
            check()

    def _examples(self, label_set: LabelSet, material: Material) -> Examples | None:
        """The labels' examples, embedded; None without examples, or without the rows' embedding model."""
        pairs = [(text, at) for at, label in enumerate(label_set.labels) for text in label.examples]
        if not pairs:
            return None
        classifier = self._models.get(GEOMETRY_MODEL).classifier
        texts = [text for text, _ in pairs]
        vectors = classifier.embed(texts)
        if vectors is None or (classifier.info.fingerprint,) != material.encoders:
            return None
        return Examples(texts=texts, vectors=vectors, labels=np.array([at for _, at in pairs], np.intp))


@dataclass(frozen=True)
class _Page:
    """New decisions of a page of rows, as compact arrays."""

    row_nos: NDArray[np.int64]
    labels: NDArray[np.int16]
    scores: NDArray[np.float64]
    margins: NDArray[np.float64]
    reached: NDArray[np.bool_]

    def __iter__(self) -> Iterator[tuple[int, Status, int, float, float]]:
        columns = (self.row_nos, self.reached, self.labels, self.scores, self.margins)
        for row_no, reached, label, score, margin in zip(*(column.tolist() for column in columns), strict=True):
            yield row_no, Status.OK if reached else Status.ABSTAINED, label, score, margin


@dataclass
class _Changes:
    """Changes by refinement: number, moves between labels, most confident rows.

    ``since`` counts the differences from an earlier refinement, if there was one (``again``).
    """

    total: int = 0
    again: bool = False
    since: int = 0
    moves: Counter[tuple[int, int]] = field(default_factory=Counter)
    most_confident: list[tuple[float, int]] = field(default_factory=list)

    def count(self, page: _Page, scored: Sequence[ScoredRow]) -> None:
        earlier = [(row.refined, label) for row, label in zip(scored, page.labels.tolist(), strict=True)]
        self.again |= any(refined is not None for refined, _ in earlier)
        self.since += sum(refined not in (None, label) for refined, label in earlier)
        before = np.array([row.label for row in scored])
        changed = np.flatnonzero(page.labels != before)
        self.total += len(changed)
        self.moves.update(zip(before[changed].tolist(), page.labels[changed].tolist(), strict=True))
        most_confident = changed[np.argsort(-page.margins[changed], kind="stable")[:_SHOWN_CHANGES]]
        found = [(page.margins[at].item(), page.row_nos[at].item()) for at in most_confident]
        self.most_confident = heapq.nlargest(
            _SHOWN_CHANGES, [*self.most_confident, *found], key=lambda one: (one[0], -one[1])
        )


def _check(job: ScoredJob, material: Material) -> None:
    if not job.label_set.refinable:
        raise NotRefined(msg("Refinement needs at least two mutually exclusive labels."))
    least = max(MIN_ROWS, MIN_ROWS_A_LABEL * len(job.label_set))
    if material.scored < least:
        raise NotRefined(
            msg(
                "Refinement needs %(least)s scored rows for these labels; the job has %(scored)s.",
                scored=material.scored,
                least=least,
            )
        )
    if not material.complete:
        raise NotRefined(msg("Some rows have no embedding: the workers could not run the embedding model."))
    if len(material.encoders) > 1:
        raise NotRefined(msg("The rows were embedded by different builds of the model. Submit the job again."))


def _rows(scored: Sequence[ScoredRow], vectors: NDArray[np.float32]) -> Rows:
    packed = np.frombuffer(b"".join(row.scores for row in scored), np.uint8).reshape(len(scored), -1)
    items = packed[:, _ARRAY_HEADER:].reshape(len(scored), -1, _ARRAY_ITEM)[:, :, _ITEM_LENGTH:]
    scores = np.ascontiguousarray(items).view(">f4")[:, :, 0].astype(np.float32)
    return Rows(texts=[row.text for row in scored], vectors=vectors, scores=scores)


def _placed(blocks: Sequence[Block], first: int, last: int, dimension: int) -> NDArray[np.float32]:
    """The embeddings of the rows from ``first`` to ``last``, ``(n_rows, dimension)``."""
    vectors = np.zeros((last - first + 1, dimension), np.float32)
    for block in blocks:
        found = unpack(block.vectors, dimension)
        begin, end = max(block.first_row, first), min(block.last_row, last)
        vectors[begin - first : end - first + 1] = found[begin - block.first_row : end - block.first_row + 1]
    return vectors


def _decide(row_nos: NDArray[np.int64], refiner: Refiner, rows: Rows, threshold: float) -> _Page:
    scores: NDArray[np.float64] = refiner(rows).astype(np.float64).round(6)
    fits = np.ones(len(scores), np.bool_)
    if refiner.rejects:
        fits = scores.argmax(axis=1) < scores.shape[1] - 1
        scores = scores[:, :-1]
    two: NDArray[np.float64] = np.partition(scores, -2, axis=1)[:, -2:]
    return _Page(
        row_nos=row_nos,
        labels=scores.argmax(axis=1).astype(np.int16),
        scores=two[:, 1],
        margins=np.round(two[:, 1] - two[:, 0], 6),
        reached=fits & (two[:, 1] >= threshold),
    )
