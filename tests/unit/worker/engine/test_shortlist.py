"""The shortlist, over classifiers whose scores are made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from worker.engine.classifier import Batch, Classifier, ModelInfo, Plan, Reuse, RunStats, Scored
from worker.engine.models.loader import open_classifier
from worker.engine.sessions.base import Progress, nothing
from worker.engine.shortlist import ShortlistClassifier
from yeban.errors import InvalidLabels, UnknownModel, msg
from yeban.labels import LabelSet

LABELS = LabelSet.of([f"label {at}" for at in range(30)])


class MadeUpClassifier(Classifier):
    """Scores by a table of text to label name to score; what the table lacks scores ``rest``."""

    def __init__(self, kind: str, table: Mapping[str, Mapping[str, float]], rest: float = 0.01) -> None:
        self.kind = kind
        self.table = table
        self.rest = rest
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(
            name=self.kind,
            kind=self.kind,
            fingerprint=f"{self.kind}-1",
            precision="fp32",
            session="made up",
            device="cpu",
            threads=1,
            max_tokens=512,
            reason="",
        )

    def check(self, label_set: LabelSet) -> None:
        if any(self.kind in name for name in label_set.names):
            raise InvalidLabels(msg("A label that %(kind)s cannot read.", kind=self.kind))

    def plan(self, batches: Sequence[Batch]) -> Plan:
        return Plan(batches=tuple(batches))

    def run(self, plan: Plan, *, progress: Progress = nothing) -> Scored:
        scores = []
        for batch in plan.batches:
            self.asked += [(text, batch.label_set.names) for text in batch.texts]
            rows = [
                [self.table.get(text, {}).get(name, self.rest) for name in batch.label_set.names]
                for text in batch.texts
            ]
            scores.append(np.array(rows, np.float32).reshape(len(batch.texts), len(batch.label_set)))
            progress()
        reuse = tuple(Reuse(lookups=array.size, hits=1) for array in scores)
        return Scored(scores=scores, reuse=reuse, stats=RunStats(tokens=10, engine_s=1.0))

    def weight(self, batch: Batch) -> int:
        return 100 * len(batch.texts) * (len(batch.label_set) if self.kind == "nli" else 1)

    def truncates(self, text: str, label_set: LabelSet) -> bool:
        return len(text) > 10

    def warm_up(self) -> None:
        self.asked.append(("warm-up", ()))


def shortlist(ranking: Mapping[str, Mapping[str, float]], scoring: Mapping[str, Mapping[str, float]], keep: int = 3):
    ranker, scorer = MadeUpClassifier("embedding", ranking), MadeUpClassifier("nli", scoring)
    return ShortlistClassifier(ranker, scorer, keep=keep), ranker, scorer


def test_only_the_likeliest_labels_of_each_text_are_scored() -> None:
    ranking = {
        "a": {"label 3": 0.5, "label 20": 0.4, "label 7": 0.3},
        "b": {"label 1": 0.5, "label 2": 0.4, "label 29": 0.3},
    }
    scoring = {"a": {"label 20": 0.9, "label 5": 0.99}, "b": {"label 29": 0.7}}
    classifier, _, scorer = shortlist(ranking, scoring)

    (scores,) = classifier.score([Batch(texts=("a", "b"), label_set=LABELS)]).scores

    assert scorer.asked == [("a", ("label 3", "label 7", "label 20")), ("b", ("label 1", "label 2", "label 29"))]
    assert scores.shape == (2, 30)
    assert scores[0].argmax() == 20
    assert scores[1].argmax() == 29
    assert scores[0, 5] == 0.0
    assert (scores > 0).sum(axis=1).tolist() == [3, 3]


def test_a_label_that_is_likely_for_any_text_is_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.engine.shortlist.ordinary_texts", lambda: ("x", "y"))
    usual = {"label 0": 0.9, "label 1": 0.8}
    ranking = {"x": usual, "y": usual, "a": {**usual, "label 9": 0.5, "label 8": 0.4}}
    classifier, _, scorer = shortlist(ranking, {}, keep=2)

    classifier.score([Batch(texts=("a",), label_set=LABELS)])

    assert scorer.asked == [("a", ("label 8", "label 9"))]


def test_few_labels_are_all_scored_and_batches_keep_their_order() -> None:
    few = LabelSet.of(["x", "y", "z"])
    classifier, ranker, scorer = shortlist({}, {"a": {"y": 0.5}})

    scored = classifier.score(
        [Batch(texts=("a",), label_set=LABELS), Batch(texts=("a",), label_set=few), Batch(texts=(), label_set=LABELS)]
    )

    assert [array.shape for array in scored.scores] == [(1, 30), (1, 3), (0, 30)]
    assert scored.scores[1].argmax() == 1
    assert ("a", few.names) in scorer.asked
    assert all(names != few.names for _, names in ranker.asked)


def test_mode_and_template_are_the_scorers_alone() -> None:
    given = LabelSet.of(LABELS.names, template="这是{}", multi_label=True)
    seen: list[LabelSet] = []
    classifier, ranker, scorer = shortlist({}, {})
    for part in (ranker, scorer):
        original = part.plan
        part.plan = lambda batches, original=original: (
            seen.extend(batch.label_set for batch in batches),
            original(batches),
        )[1]

    classifier.score([Batch(texts=("a",), label_set=given)])

    assert [(it.template, it.multi_label) for it in seen] == [("{}", False), ("{}", False), ("这是{}", True)]


def test_reuse_and_time_of_all_parts_are_told() -> None:
    classifier, _, _ = shortlist({}, {})

    scored = classifier.score([Batch(texts=("a", "b"), label_set=LABELS)])

    assert scored.reuse == (Reuse(lookups=6, hits=2),)
    assert (scored.stats.tokens, scored.stats.engine_s) == (20, 2.0)


def test_labels_must_suit_both_models() -> None:
    classifier, _, _ = shortlist({}, {})

    with pytest.raises(InvalidLabels, match="nli cannot"):
        classifier.check(LabelSet.of(["nli"]))
    classifier.check(LabelSet.of(["embedding"]))
    with pytest.raises(InvalidLabels, match="embedding cannot"):
        classifier.check(LabelSet.of([*LABELS.names, "embedding"]))


def test_its_work_is_that_of_the_labels_kept() -> None:
    classifier, _, scorer = shortlist({}, {})
    batch = Batch(texts=("a",) * 10, label_set=LABELS)

    assert classifier.weight(batch) == scorer.weight(batch) // 10 + 1000


def test_another_number_of_labels_is_another_model() -> None:
    one, two = shortlist({}, {}, keep=3)[0], shortlist({}, {}, keep=4)[0]

    assert one.info.name == "embedding+nli"
    assert one.info.fingerprint != two.info.fingerprint


@pytest.mark.parametrize("name", ["e5-small+", "+e5-small", "a+b+c"])
def test_a_shortlist_is_two_models(name: str) -> None:
    with pytest.raises(UnknownModel, match="A shortlist combines two models"):
        open_classifier(name)
