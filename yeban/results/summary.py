"""Summary of a scored job: counts, scores and agreement with the gold column. Each row is read once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row

from yeban.jobs.reports import RowLabelFigures, Summary
from yeban.labels import LABEL_JOINER, LabelSet, Status
from yeban.results import queries
from yeban.results.distribution import BINS
from yeban.results.evaluation import Agreement, Confusion, curve, thresholds

# A wrongly chosen gold column may have a million values, so they are read in blocks.
_IN_BLOCKS = {"yield_per": 10_000}


def summarize(connection: Connection, job: Row[Any], *, refined: bool) -> Summary:
    """Summarize a job whose rows all have a result.

    ``job`` has ``id``, ``label_set``, ``gold_index``, ``row_count``, ``running_at`` and ``until``, when it finished.
    """
    label_set = LabelSet.from_json(job.label_set)
    names = label_set.names
    counts = dict.fromkeys(Status, 0)
    labels = dict.fromkeys(names, 0)
    scores = [0] * BINS
    agreement, confusion = Agreement(names), Confusion(names)
    for status, gold, assigned, place, count in connection.execute(
        queries.COUNTS if job.gold_index is None else queries.COUNTS_WITH_GOLD,
        {"id": job.id, "multi_label": label_set.multi_label, "threshold": label_set.effective_threshold},
        execution_options=_IN_BLOCKS,
    ):
        predicted = [names[index] for index in assigned]
        counts[Status(status)] += count
        for name in predicted:
            labels[name] += count
        if place is not None:
            scores[place - 1] += count
        right = _gold_labels(gold, label_set)
        agreement.add(right, predicted, count)
        if not label_set.multi_label:
            confusion.add(right, predicted, count)
    seconds = (job.until - job.running_at).total_seconds() if job.running_at else 0.0
    evaluation = None
    if job.gold_index is not None:
        evaluation = agreement.evaluation()
        if refined:
            evaluation = replace(evaluation, by_row=_agreement_by_row(connection, job.id, label_set))
        if not label_set.multi_label:
            scored = _scored(connection, job.id, label_set)
            evaluation = replace(
                evaluation, thresholds=thresholds(scored), curve=curve(scored), confusion=confusion.matrix()
            )
    return Summary(
        rows=job.row_count,
        ok=counts[Status.OK],
        abstained=counts[Status.ABSTAINED],
        errors=counts[Status.ERROR],
        labels=labels,
        scores=tuple(scores),
        seconds=round(seconds, 3),
        evaluation=evaluation,
    )


def _agreement_by_row(connection: Connection, job_id: int, label_set: LabelSet) -> RowLabelFigures:
    names = label_set.names
    agreement = Agreement(names)
    for gold, label, count in connection.execute(
        queries.ROW_LABELS_WITH_GOLD, {"id": job_id}, execution_options=_IN_BLOCKS
    ):
        agreement.add(_gold_labels(gold, label_set), [] if label is None else [names[label]], count)
    return RowLabelFigures(accuracy=agreement.accuracy, macro_f1=agreement.macro_f1)


def _scored(connection: Connection, job_id: int, label_set: LabelSet) -> list[tuple[float, bool, int]]:
    """Count rows by score and agreement with the gold label; rows without a gold label are left out."""
    counts: Counter[tuple[float, bool]] = Counter()
    for score, gold, label, count in connection.execute(
        queries.SCORES_WITH_GOLD, {"id": job_id}, execution_options=_IN_BLOCKS
    ):
        if wanted := _gold_labels(gold, label_set):
            counts[score, wanted == [label_set.names[label]]] += count
    return [(score, right, count) for (score, right), count in counts.items()]


def _gold_labels(gold: str | None, label_set: LabelSet) -> list[str]:
    """Split a gold cell into labels; a multi-label job joins them as the tagged file does."""
    cell = (gold or "").strip()
    if not label_set.multi_label:
        return [cell] if cell else []
    return [name.strip() for name in cell.split(LABEL_JOINER) if name.strip()]
