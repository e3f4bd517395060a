"""A classifier whose texts and labels are points in space, and labelled files made of such texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from worker.engine import Batch, Classifier, ModelInfo, Plan, RunStats, Scored
from worker.engine.calibration import sigmoid, softmax
from worker.evaluation.files import LabelledFile
from worker.evaluation.scorer import Scorer
from yeban.labels import Label, LabelSet

DIMENSION = 16
TOPICS = ("猫", "狗", "鱼")
# Words that come with a topic, as in a real file.
_WORDS = {"猫": "喵喵抓老鼠", "狗": "汪汪看大门", "鱼": "水里游泡泡", "鸟": "天上飞翅膀"}


class PointClassifier(Classifier):
    """Scores by cosine. A text begins with its topic, near whose point it lies; a label's name lies further off.

    ``texts_scored`` has every text that was scored, ``embeds`` says whether it makes embeddings.
    """

    def __init__(self, *, embeds: bool = True) -> None:
        self.embeds = embeds
        self.texts_scored: list[str] = []

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(
            name="points",
            kind="embedding",
            fingerprint="f",
            precision="fp32",
            session="numpy",
            device="cpu",
            threads=1,
            max_tokens=512,
            reason="a test",
        )

    def check(self, label_set: LabelSet) -> None:
        pass

    def plan(self, batches: Sequence[Batch]) -> Plan:
        return Plan(batches=tuple(batches))

    def run(self, plan: Plan, **_options: object) -> Scored:
        scores, vectors = [], []
        for batch in plan.batches:
            self.texts_scored += batch.texts
            texts = np.stack([_near(text, 0.9) for text in batch.texts])
            cosines = texts @ np.stack([_of_label(label) for label in batch.label_set.labels]).T
            made = sigmoid(10 * (cosines - 0.5)) if batch.label_set.multi_label else softmax(10 * cosines)
            scores.append(made.astype(np.float32))
            vectors.append(texts if batch.embed else None)
        return Scored(scores=scores, reuse=(), stats=RunStats(), vectors=tuple(vectors) if self.embeds else ())

    def weight(self, batch: Batch) -> int:
        return len(batch.texts)

    def truncates(self, text: str, label_set: LabelSet) -> bool:
        return False

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32] | None:
        return np.stack([_near(text, 0.9) for text in texts]) if self.embeds else None

    def warm_up(self) -> None:
        pass


def _near(text: str, noise: float) -> NDArray[np.float32]:
    centre = np.random.default_rng([ord(text[0])]).normal(size=DIMENSION)
    moved = centre + noise * np.random.default_rng(list(text.encode())).normal(size=DIMENSION)
    return (moved / np.linalg.norm(moved)).astype(np.float32)


def _of_label(label: Label) -> NDArray[np.float32]:
    total = _near(label.name, 1.5) + sum(_near(text, 0.9) for text in label.examples)
    return np.asarray(total / np.linalg.norm(total), np.float32)


def texts_of(topic: str, count: int) -> list[str]:
    """Distinct texts of one topic, each with some of its words."""
    random = np.random.default_rng(ord(topic))
    return [f"{topic}{number}{''.join(random.permutation(list(_WORDS[topic]))[:3])}" for number in range(count)]


@pytest.fixture
def classifier() -> PointClassifier:
    return PointClassifier()


@pytest.fixture
def scorer(classifier: PointClassifier) -> Scorer:
    return Scorer(classifier)


@pytest.fixture
def make_file() -> Callable[..., LabelledFile]:
    """Makes a file with so many rows of each topic; those of a topic that is no label have another gold label."""

    def make(*, labels: Sequence[str] = TOPICS, name: str = "made.csv", **rows: int) -> LabelledFile:
        rows = rows or {"猫": 60, "狗": 60, "鱼": 60}
        others = tuple(sorted(topic for topic in rows if topic not in labels))
        numbers = {topic: number for number, topic in enumerate((*labels, *others))}
        pairs = [(text, numbers[topic]) for topic, count in rows.items() for text in texts_of(topic, count)]
        return LabelledFile(
            name=name,
            texts=tuple(text for text, _ in pairs),
            gold=np.array([gold for _, gold in pairs], np.intp),
            label_set=LabelSet.of(list(labels)),
            other_labels=others,
            without_gold=0,
            unusable=0,
        )

    return make
