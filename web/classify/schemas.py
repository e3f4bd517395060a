"""What is answered about a single text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from web.openapi.schema_base import AnswerBody


class ClassifyModel(AnswerBody):
    """The model that scored the text."""

    name: str
    fingerprint: str
    """Of the model's files: other scores can only come from another fingerprint."""
    precision: str
    session: str


class ClassifyTiming(AnswerBody):
    """Where the time went, in milliseconds."""

    queue_ms: float
    """Until the engine was free."""
    inference_ms: float
    """Tokenising, and the engine."""
    total_ms: float


class ClassifyCache(AnswerBody):
    """What the model knew already: texts for an embedding model, pairs of the text and a label for a cross-encoder."""

    lookups: int
    hits: int


class Classification(AnswerBody):
    """A text's labels and scores."""

    label: str | None
    """The best assigned label; `null` where nothing reaches the threshold."""
    labels: list[str]
    """All labels, best first; ties in the order given."""
    scores: list[float]
    """Probabilities, in the order of `labels`."""
    status: Literal["ok", "abstained"]
    margin: float
    """The distance between the two best scores, or from the threshold with `multi_label`."""
    assigned: list[str]
    """The labels that reach the threshold, best first."""
    model: ClassifyModel
    timing: ClassifyTiming
    truncated: bool
    """Whether the model did not see the end of the text."""
    cached: bool
    """Whether nothing had to be computed."""
    cache: ClassifyCache

    example: ClassVar[Mapping[str, Any] | None] = {
        "label": "物流",
        "labels": ["物流", "退款", "发票"],
        "scores": [0.61, 0.22, 0.17],
        "status": "ok",
        "margin": 0.39,
        "assigned": ["物流"],
        "model": {"name": "e5-small", "fingerprint": "8c1f0a37d2e94b56", "precision": "int8", "session": "openvino"},
        "timing": {"queue_ms": 0.8, "inference_ms": 6.1, "total_ms": 8.9},
        "truncated": False,
        "cached": False,
        "cache": {"lookups": 1, "hits": 0},
    }
