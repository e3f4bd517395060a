"""Probabilities of the rows of a file, row by row and refined."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from worker.evaluation.files import LabelledFile
from worker.evaluation.scorer import Scorer
from worker.refinement import Rows, fit
from worker.refinement.refiner import UNKNOWN, Examples, sample
from yeban.labels import LabelSet

Floats = NDArray[np.float32]
Indices = NDArray[np.intp]

_APPLY_ROWS = 8_192
_DECIMALS = 6


class Setting(StrEnum):
    """A way to decide rows."""

    ROW_BY_ROW = "row by row"  # each row by its scores
    REFINED = "refined"  # refined over the whole file


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A file with the scores of its rows, and with their embeddings if it ``refines``."""

    file: LabelledFile
    rows: Rows
    examples: Examples | None
    refines: bool


@dataclass(frozen=True, kw_only=True)
class Decided:
    """Probabilities ``(n_rows, n_labels)`` of the judged rows, by setting, and those rows' ``gold`` labels."""

    gold: Indices
    by_setting: dict[Setting, Floats]


def prepare(file: LabelledFile, scorer: Scorer, *, refine: bool) -> Prepared:
    """Score every text of ``file`` once; embed it to ``refine``."""
    if refine:
        rows = scorer.rows(file.texts, file.label_set)
        return Prepared(file=file, rows=rows, examples=scorer.examples(file.label_set), refines=True)
    scores = scorer.scores(file.texts, file.label_set)
    rows = Rows(texts=file.texts, vectors=np.empty((len(scores), 0), np.float32), scores=scores)
    return Prepared(file=file, rows=rows, examples=None, refines=False)


def decide(prepared: Prepared) -> Decided:
    """Decide every row from the labels alone."""
    by_setting = {Setting.ROW_BY_ROW: prepared.rows.scores}
    if prepared.refines:
        by_setting[Setting.REFINED] = refined(prepared.rows, examples=prepared.examples)
    return Decided(gold=prepared.file.gold, by_setting=by_setting)


def decide_with_examples(prepared: Prepared, scorer: Scorer, per_label: int, seed: int) -> Decided:
    """Decide all rows but ``per_label`` random rows of each label, which become its examples."""
    file = prepared.file
    drawn = draw(file.gold, len(file.label_set), per_label, seed)
    judged = np.ones(len(file.gold), np.bool_)
    judged[drawn] = False
    with_examples = add_examples(file, drawn)
    scores = scorer.scores(file.texts, with_examples)
    by_setting = {Setting.ROW_BY_ROW: scores[judged]}
    if prepared.refines:
        known = np.full(len(file.gold), UNKNOWN, np.intp)
        known[drawn] = file.gold[drawn]
        probabilities = refined(replace(prepared.rows, scores=scores), known, prepared.examples)
        by_setting[Setting.REFINED] = probabilities[judged]
    return Decided(gold=file.gold[judged], by_setting=by_setting)


def refined(rows: Rows, known: Indices | None = None, examples: Examples | None = None) -> Floats:
    """Probabilities ``(n_rows, n_labels)`` after refinement, with six decimals; also of ``known`` rows."""
    learnt_from = sample(len(rows), () if known is None else np.flatnonzero(known != UNKNOWN))
    refiner = fit(part(rows, learnt_from), None if known is None else known[learnt_from], examples)
    pages = [
        refiner(part(rows, np.arange(first, min(first + _APPLY_ROWS, len(rows)))))
        for first in range(0, len(rows), _APPLY_ROWS)
    ]
    return np.round(np.concatenate(pages).astype(np.float64), _DECIMALS).astype(np.float32)


def part(rows: Rows, places: Indices) -> Rows:
    """The rows at ``places``, in this order."""
    return Rows(texts=[rows.texts[at] for at in places], vectors=rows.vectors[places], scores=rows.scores[places])


def draw(gold: Indices, n_labels: int, per_label: int, seed: int) -> Indices:
    """Sorted places of ``per_label`` random rows of each label; one row of a small label is left to judge."""
    shuffled = np.random.default_rng(seed).permutation(len(gold))
    drawn = []
    for label in range(n_labels):
        of_label = shuffled[gold[shuffled] == label]
        drawn.append(of_label[: max(0, min(per_label, len(of_label) - 1))])
    return np.sort(np.concatenate(drawn)).astype(np.intp)


def add_examples(file: LabelledFile, drawn: Indices) -> LabelSet:
    """The file's label set with the texts of the ``drawn`` rows as additional examples."""
    texts: list[list[str]] = [[] for _ in file.label_set.labels]
    for at in drawn.tolist():
        texts[file.gold[at]].append(file.texts[at])
    labels = zip(file.label_set.labels, texts, strict=True)
    return replace(
        file.label_set, labels=tuple(replace(label, examples=(*label.examples, *given)) for label, given in labels)
    )
