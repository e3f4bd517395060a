"""Shortlist: embeddings pick each text's likeliest labels, the cross-encoder scores those.

A cross-encoder's work grows with the number of labels; an embedding's hardly does. Cosines favour some labels for
any text, so labels are ranked by how much likelier they are for this text than for an ordinary one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from worker.engine.classifier import Batch, Classifier, ModelInfo, Plan, Reuse, RunStats, Scored
from worker.engine.nli.samples import ordinary_texts
from worker.engine.sessions.base import Progress, nothing
from yeban.labels import Label, LabelSet

Floats = NDArray[np.float32]

KIND = "shortlist"

_LEAST_PROBABILITY = 1e-30
_MAX_LABEL_SETS = 50


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShortlistPlan(Plan):
    """Batches with few labels go to the cross-encoder unchanged (``whole``); the others are ranked first."""

    ranking: Plan | None
    long: tuple[int, ...]
    whole: tuple[int, ...]


class ShortlistClassifier(Classifier):
    """Scores the ``keep`` likeliest labels of each text with ``scorer``; the score of all others is 0.

    With at most ``keep`` labels, ``scorer`` alone runs.
    """

    def __init__(self, ranker: Classifier, scorer: Classifier, *, keep: int) -> None:
        self._ranker = ranker
        self._scorer = scorer
        self._keep = keep
        self._usual: OrderedDict[LabelSet, Floats] = OrderedDict()
        self._lock = threading.Lock()
        parts = (ranker.info.fingerprint, scorer.info.fingerprint, str(keep))
        self._info = dataclasses.replace(
            scorer.info,
            name=f"{ranker.info.name}+{scorer.info.name}",
            kind=KIND,
            fingerprint=hashlib.sha256("\x1f".join(parts).encode()).hexdigest(),
            reason=f"{scorer.info.reason}; {ranker.info.name} ({ranker.info.session}) picks {keep} labels a text",
        )

    @property
    def info(self) -> ModelInfo:
        return self._info

    def check(self, label_set: LabelSet) -> None:
        self._scorer.check(label_set)
        if self._is_long(label_set):
            self._ranker.check(_for_ranking(label_set))

    def plan(self, batches: Sequence[Batch]) -> ShortlistPlan:
        long = tuple(at for at, batch in enumerate(batches) if self._is_long(batch.label_set))
        ranking = None
        if long:
            ranked = [Batch(texts=batches[at].texts, label_set=_for_ranking(batches[at].label_set)) for at in long]
            ranking = self._ranker.plan(ranked)
        return ShortlistPlan(
            batches=tuple(batches),
            ranking=ranking,
            long=long,
            whole=tuple(at for at in range(len(batches)) if at not in set(long)),
        )

    def run(self, plan: Plan, *, progress: Progress = nothing) -> Scored:
        if not isinstance(plan, ShortlistPlan):
            raise TypeError(f"a ShortlistClassifier cannot run a {type(plan).__name__}")
        asked = [plan.batches[at] for at in plan.whole]
        chosen: dict[int, NDArray[np.intp]] = {}
        ranked = RunStats()
        if plan.ranking is not None:
            found = self._ranker.run(plan.ranking, progress=progress)
            ranked = found.stats
            for at, batch, scores in zip(plan.long, plan.ranking.batches, found.scores, strict=True):
                chosen[at] = self._choose(batch.label_set, scores)
                asked += _reduced(plan.batches[at], chosen[at])
        scored = self._scorer.run(self._scorer.plan(asked), progress=progress)
        answers = iter(zip(scored.scores, scored.reuse, strict=True))
        scores_of: dict[int, Floats] = {}
        reuse_of: dict[int, Reuse] = {}
        for at in plan.whole:
            scores_of[at], reuse_of[at] = next(answers)
        for at in plan.long:
            batch = plan.batches[at]
            scores_of[at] = np.zeros((len(batch.texts), len(batch.label_set)), np.float32)
            lookups = hits = 0
            for row, columns in enumerate(chosen[at]):
                row_scores, reuse = next(answers)
                scores_of[at][row, columns] = row_scores[0]
                lookups, hits = lookups + reuse.lookups, hits + reuse.hits
            reuse_of[at] = Reuse(lookups=lookups, hits=hits)
        numbers = range(len(plan.batches))
        stats = dataclasses.replace(
            scored.stats,
            tokens=scored.stats.tokens + ranked.tokens,
            padded_tokens=scored.stats.padded_tokens + ranked.padded_tokens,
            plan_s=scored.stats.plan_s + ranked.plan_s,
            engine_s=scored.stats.engine_s + ranked.engine_s,
        )
        return Scored(
            scores=[scores_of[at] for at in numbers], reuse=tuple(reuse_of[at] for at in numbers), stats=stats
        )

    def weight(self, batch: Batch) -> int:
        weight = self._scorer.weight(batch)
        if self._is_long(batch.label_set):
            weight = weight * self._keep // len(batch.label_set) + self._ranker.weight(batch)
        return weight

    def truncates(self, text: str, label_set: LabelSet) -> bool:
        return self._scorer.truncates(text, label_set)

    def warm_up(self) -> None:
        self._ranker.warm_up()
        self._scorer.warm_up()

    def _is_long(self, label_set: LabelSet) -> bool:
        return len(label_set) > self._keep

    def _choose(self, label_set: LabelSet, scores: Floats) -> NDArray[np.intp]:
        """The columns of the likeliest labels, ``(n_texts, keep)``, in label order."""
        relevance = _log(scores) - self._usual_of(label_set)
        best = np.argsort(-relevance, axis=1, kind="stable")[:, : self._keep]
        return np.asarray(np.sort(best, axis=1), np.intp)

    def _usual_of(self, label_set: LabelSet) -> Floats:
        """The mean log probability of each label over ordinary texts, ``(n_labels,)``."""
        with self._lock:
            known = self._usual.get(label_set)
            if known is not None:
                self._usual.move_to_end(label_set)
                return known
        scores = self._ranker.score([Batch(texts=ordinary_texts(), label_set=label_set)]).scores[0]
        usual = np.asarray(_log(scores).mean(axis=0), np.float32)
        with self._lock:
            self._usual[label_set] = usual
            if len(self._usual) > _MAX_LABEL_SETS:
                self._usual.popitem(last=False)
        return usual


def _for_ranking(label_set: LabelSet) -> LabelSet:
    """The same labels as mutually exclusive ones, with the ranker's phrasing."""
    return LabelSet(labels=label_set.labels)


def _reduced(batch: Batch, chosen: NDArray[np.intp]) -> list[Batch]:
    """One batch a text, with its labels only."""
    labels: Sequence[Label] = batch.label_set.labels
    return [
        Batch(
            texts=(text,),
            label_set=dataclasses.replace(batch.label_set, labels=tuple(labels[column] for column in columns)),
        )
        for text, columns in zip(batch.texts, chosen, strict=True)
    ]


def _log(probabilities: Floats) -> Floats:
    """Logarithms less their mean over the labels, which removes how peaked a text's scores are."""
    logs = np.log(np.maximum(probabilities, _LEAST_PROBABILITY))
    return np.asarray(logs - logs.mean(axis=1, keepdims=True), np.float32)
