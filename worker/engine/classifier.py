"""The interface of every classifier: texts and label sets in, probabilities out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from worker.engine.sessions.base import Progress, nothing
from yeban.labels import DEFAULT_TEMPLATE, LabelSet


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Texts that are scored against one label set: a chunk of a job, or one request.

    ``embed`` also asks for the texts' embeddings, if the model computes them.
    """

    texts: tuple[str, ...]
    label_set: LabelSet
    embed: bool = False


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """The loaded model. ``reason`` explains the choice of session."""

    name: str
    kind: str
    fingerprint: str
    precision: str
    session: str
    device: str
    threads: int
    max_tokens: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class RunStats:
    """Counts and times of one run. Counts are of texts unless named; a pair is a text and a label."""

    texts: int = 0
    unique_texts: int = 0
    cached_texts: int = 0
    truncated_texts: int = 0
    unique_labels: int = 0
    cached_labels: int = 0
    unique_pairs: int = 0
    cached_pairs: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    plan_s: float = 0.0
    engine_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Work that is tokenised, deduplicated and cut into blocks, ready for the engine."""

    batches: tuple[Batch, ...]
    stats: RunStats = field(default_factory=RunStats)


@dataclass(frozen=True, kw_only=True)
class Reuse:
    """Cached share of a batch, in the model's cache unit: texts, or pairs of text and label."""

    lookups: int
    hits: int

    @property
    def complete(self) -> bool:
        """True if every unit came from the cache."""
        return self.hits == self.lookups


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One ``(n_texts, n_labels)`` float32 array of probabilities a batch, in order, with the run's statistics.

    ``vectors`` has the unit embeddings ``(n_texts, dimension)`` float32 of each batch that asked for them; it is empty
    for a model that makes none.
    """

    scores: list[NDArray[np.float32]]
    reuse: tuple[Reuse, ...]
    stats: RunStats
    vectors: tuple[NDArray[np.float32] | None, ...] = ()


class Ranking(TypedDict):
    """The labels of one text, best first, with their probabilities."""

    labels: list[str]
    scores: list[float]


class Classifier(ABC):
    """Scores texts against candidate labels.

    All methods may be called from several threads at once. A group of many batches becomes one
    engine pass, so give :meth:`plan` everything that is waiting.
    """

    @property
    @abstractmethod
    def info(self) -> ModelInfo:
        """The loaded model and its device."""

    @abstractmethod
    def check(self, label_set: LabelSet) -> None:
        """Raise :class:`~yeban.errors.InvalidLabels` if a hypothesis is too long for the model."""

    @abstractmethod
    def plan(self, batches: Sequence[Batch]) -> Plan:
        """Prepare the work without running the engine.

        Texts over the model's length are cut and counted, never refused. Raises
        :class:`~yeban.errors.InvalidLabels` as :meth:`check` does.
        """

    @abstractmethod
    def run(self, plan: Plan, *, progress: Progress = nothing) -> Scored:
        """Carry out a plan that this classifier made, calling ``progress`` after each block of it.

        Raises :class:`~yeban.errors.EngineFailed` when the engine raised or a score is not finite.
        """

    @abstractmethod
    def weight(self, batch: Batch) -> int:
        """Estimate the tokens that the engine reads for ``batch`` with a cold cache. Cheap."""

    @abstractmethod
    def truncates(self, text: str, label_set: LabelSet) -> bool:
        """Report whether ``text`` exceeds the model's length, so that some label sees only its beginning."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32] | None:  # noqa: ARG002
        """Unit embeddings ``(n_texts, dimension)`` float32 of texts; ``None`` if the model has none."""
        return None

    @abstractmethod
    def warm_up(self) -> None:
        """Run common shapes once, so that the first request does not pay for them."""

    def score(self, batches: Sequence[Batch]) -> Scored:
        """Plan and run in one go."""
        return self.run(self.plan(batches))

    def classify(
        self,
        texts: Sequence[str],
        labels: str | Iterable[str],
        *,
        template: str = DEFAULT_TEMPLATE,
        multi_label: bool = False,
    ) -> list[Ranking]:
        """Rank the labels of each text, best first; equal scores keep the order given.

        ``labels`` is a list of names, or one string separated by ``,`` or ``，``.
        """
        label_set = LabelSet.of(labels, template=template, multi_label=multi_label)
        scored = self.score([Batch(texts=tuple(texts), label_set=label_set)])
        return [rank(row, label_set.names) for row in scored.scores[0]]


def rank(scores: NDArray[np.float32], names: Sequence[str]) -> Ranking:
    """Order one row of scores, shape ``(n_labels,)``, best first."""
    order = np.argsort(-scores, kind="stable")
    return {"labels": [names[i] for i in order], "scores": [float(scores[i]) for i in order]}
