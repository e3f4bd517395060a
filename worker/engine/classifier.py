"""What every classifier promises: texts and label sets in, probabilities out."""

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

    ``embed`` asks for the texts' embeddings as well, from a model that makes them anyway.
    """

    texts: tuple[str, ...]
    label_set: LabelSet
    embed: bool = False


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What is loaded. ``reason`` says why this session was chosen."""

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
    """What one run took. Counts are of texts unless the name says otherwise; pairs are of a text and a label."""

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
    """How much of a batch was known already, counted in what the model keeps: texts, or pairs of text and label."""

    lookups: int
    hits: int

    @property
    def complete(self) -> bool:
        """Whether nothing had to be computed."""
        return self.hits == self.lookups


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One ``(n_texts, n_labels)`` float32 array of probabilities a batch, in order, and what it took.

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
        """What is loaded and where it runs."""

    @abstractmethod
    def check(self, label_set: LabelSet) -> None:
        """Raise :class:`~yeban.errors.InvalidLabels` when a hypothesis does not fit the model."""

    @abstractmethod
    def plan(self, batches: Sequence[Batch]) -> Plan:
        """Prepare the work without touching the engine.

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
        """About how many tokens the engine reads for ``batch`` when nothing of it is cached. Cheap."""

    @abstractmethod
    def truncates(self, text: str, label_set: LabelSet) -> bool:
        """Whether ``text`` is over the model's length, so that only its beginning is scored against some label."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32] | None:  # noqa: ARG002
        """Unit embeddings ``(n_texts, dimension)`` float32 of texts; ``None`` from a model that makes none."""
        return None

    @abstractmethod
    def warm_up(self) -> None:
        """Run the shapes that come first, so that the first request does not pay for them."""

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
