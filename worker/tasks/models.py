"""The classifiers a worker process has loaded, each with its caches and its turn at the engine."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from worker.engine.classifier import Batch, Classifier, Plan, RunStats, Scored
from worker.tasks.in_flight import Work
from worker.tasks.locks import Turns
from yeban.errors import EngineFailed, msg
from yeban.telemetry import metrics, tracing

#: Models kept loaded; the least recently used one makes room for another.
_MAX_LOADED = 3


@dataclass
class Model:
    """A loaded classifier. Preparing is free-threaded; only one group is in the engine at a time."""

    classifier: Classifier
    turns: Turns = field(default_factory=Turns)

    @contextmanager
    def turn(self, work: Work) -> Iterator[None]:
        """The engine's use for the length of the block. Plan before it, so that the engine does not stand still."""
        with ExitStack() as turn:
            with work.waiting():
                turn.enter_context(self.turns.one())
            yield

    def plan(self, batches: Sequence[Batch]) -> Plan:
        """Prepare batches; they need no turn for it."""
        with tracing.span("plan", {"yeban.batches": len(batches)}):
            return self.classifier.plan(batches)

    def run(self, plan: Plan, work: Work) -> Scored:
        """Carry out a plan, in its turn. Raises what the engine raises, and ``EngineFailed`` for scores not finite."""
        with tracing.span("engine", {"yeban.model": self.classifier.info.name}) as span:
            scored = self.classifier.run(plan, progress=work.progress)
            # Whatever the engine: a score that is no number must never be stored or shown.
            if not all(np.isfinite(scores).all() for scores in scored.scores):
                raise EngineFailed(msg("The engine returned scores that are not finite."))
            stats = scored.stats
            span.set_attributes({"yeban.texts": stats.texts, "yeban.tokens": stats.tokens})
        _count(self.classifier.info.name, stats)
        return scored

    def score(self, batches: Sequence[Batch], work: Work) -> Scored:
        """Score batches: tokenised at once, then in turn through the engine."""
        plan = self.plan(batches)
        with self.turn(work):
            return self.run(plan, work)

    def describe(self) -> dict[str, Any]:
        """What heartbeats and replies tell of the model."""
        info = self.classifier.info
        return {
            "name": info.name,
            "kind": info.kind,
            "fingerprint": info.fingerprint,
            "precision": info.precision,
            "session": info.session,
            "device": info.device,
            "max_tokens": info.max_tokens,
        }


class Models:
    """Loads models by name on first use."""

    def __init__(self, load: Callable[[str], Classifier]) -> None:
        self._load = load
        self._loaded: OrderedDict[str, Model] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str) -> Model:
        """The model called ``name``. Raises ``UnknownModel``, ``ModelUnusable`` or ``EngineUnavailable``."""
        with self._lock:
            model = self._loaded.get(name)
            if model is None:
                model = Model(self._load(name))
                self._loaded[name] = model
                if len(self._loaded) > _MAX_LOADED:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(name)
            return model

    def describe(self) -> list[dict[str, Any]]:
        """All loaded models."""
        # Copied without the lock: a heartbeat must not wait for a model to load.
        return [model.describe() for model in tuple(self._loaded.values())]


def _count(model: str, stats: RunStats) -> None:
    metrics.TOKENISE_SECONDS.labels(model=model).observe(stats.plan_s)
    metrics.INFERENCE_SECONDS.labels(model=model).observe(stats.engine_s)
    metrics.TEXTS.labels(model=model).inc(stats.texts)
    metrics.TRUNCATED_TEXTS.labels(model=model).inc(stats.truncated_texts)
    metrics.TOKENS.labels(model=model).inc(stats.tokens)
    metrics.PADDED_TOKENS.labels(model=model).inc(stats.padded_tokens)
    if stats.tokens:  # none where the cache knew everything
        metrics.PADDING_RATIO.labels(model=model).observe(stats.padded_tokens / stats.tokens)


def rounded(scores: NDArray[np.float32]) -> list[list[float]]:
    """Scores as they are stored and sent: six decimals, so that a decision can be made again from them."""
    rows: list[list[float]] = np.round(scores.astype(np.float64), 6).tolist()
    return rows


T = TypeVar("T")


def cut(items: Sequence[T], weight: Callable[[T], int], most: int) -> list[list[T]]:
    """Consecutive parts of ``items`` that weigh at most ``most`` each; what is heavier by itself is a part alone."""
    parts: list[list[T]] = []
    filled = 0
    for item in items:
        weighs = weight(item)
        if parts and filled + weighs <= most:
            parts[-1].append(item)
            filled += weighs
        else:
            parts.append([item])
            filled = weighs
    return parts
