"""A classifier whose scores can be told from the text alone, so that a foreign, mixed or stale result shows."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections.abc import Callable, Sequence

import numpy as np

from worker.engine.classifier import Batch, Classifier, ModelInfo, Plan, Reuse, RunStats, Scored
from worker.engine.sessions.base import Progress, nothing
from yeban.labels import LabelSet

#: A row with this word in it makes the engine raise, whatever is beside it.
POISON = "POISON"
#: A row with this word in it kills the process that scores it.
CRASH = "CRASH"

_DIMENSION = 32
_pause = threading.Event()


def fingerprint_of(model: str) -> str:
    """The fingerprint under which the predictable model called ``model`` scores."""
    return hashlib.sha256(f"predictable {model}".encode()).hexdigest()[:16]


def expected_scores(model: str, names: Sequence[str], text: str) -> list[float]:
    """What ``model`` gives ``text`` for the labels ``names``: thousandths in (0, 1), told by all three."""
    source = "\0".join([fingerprint_of(model), *names, text]).encode()
    digest = hashlib.shake_128(source).digest(2 * len(names))
    return [
        (int.from_bytes(digest[at : at + 2], "big") % 999 + 1) / 1000  # exact in six decimals, as scores are stored
        for at in range(0, len(digest), 2)
    ]


class PredictableClassifier(Classifier):
    """Scores by :func:`expected_scores`; ``at_work`` is asked at each call what is to go wrong with it.

    It answers ``None``, or ``raise``, ``nan`` (as one score of the call), ``hang`` (until the watchdog ends the
    process) or ``broken`` (this call and all that follow fail, also on a known text).
    """

    def __init__(self, name: str, *, per_text_s: float, at_work: Callable[[], str | None]) -> None:
        self._name = name
        self._per_text_s = per_text_s
        self._at_work = at_work
        self._broken = False

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(
            name=self._name,
            kind="predictable",
            fingerprint=fingerprint_of(self._name),
            precision="fp32",
            session="fake",
            device="cpu",
            threads=1,
            max_tokens=512,
            reason="made for tests",
        )

    def check(self, label_set: LabelSet) -> None:
        """Every label fits."""

    def plan(self, batches: Sequence[Batch]) -> Plan:
        return Plan(batches=tuple(batches))

    def run(self, plan: Plan, *, progress: Progress = nothing) -> Scored:
        fault = self._at_work()
        self._broken = self._broken or fault == "broken"
        if fault == "hang":
            _pause.wait(600)
        texts = [text for batch in plan.batches for text in batch.texts]
        for _ in texts:
            _pause.wait(self._per_text_s)
            progress()
        if any(CRASH in text for text in texts):
            os.kill(os.getpid(), signal.SIGKILL)
        if self._broken or fault == "raise" or any(POISON in text for text in texts):
            raise RuntimeError("the engine broke")
        scores = [self._scores(batch) for batch in plan.batches]
        if fault == "nan":
            scores[0][0, 0] = np.nan
        return Scored(
            scores=scores,
            reuse=tuple(Reuse(lookups=len(batch.texts), hits=0) for batch in plan.batches),
            stats=RunStats(texts=len(texts)),
            vectors=tuple(_vectors(batch.texts) if batch.embed else None for batch in plan.batches),
        )

    def weight(self, batch: Batch) -> int:
        return len(batch.texts)

    def truncates(self, text: str, label_set: LabelSet) -> bool:
        return False

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return _vectors(texts)

    def warm_up(self) -> None:
        """There is nothing to warm."""

    def _scores(self, batch: Batch) -> np.ndarray:
        rows = [expected_scores(self._name, batch.label_set.names, text) for text in batch.texts]
        return np.array(rows, np.float32).reshape(len(batch.texts), len(batch.label_set))


def _vectors(texts: Sequence[str]) -> np.ndarray:
    digests = b"".join(hashlib.shake_128(text.encode()).digest(_DIMENSION) for text in texts)
    made = np.frombuffer(digests, np.uint8).reshape(len(texts), _DIMENSION).astype(np.float32) - 127.5
    return made / np.linalg.norm(made, axis=1, keepdims=True)
