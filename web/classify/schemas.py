"""Answer about a single text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field

from web.classify.service import Classification as ClassifiedText
from web.http.json import AnswerBody

_Milliseconds = Annotated[float, AfterValidator(lambda value: round(value, 3))]


class ClassifyModel(AnswerBody):
    """The model that scored the text."""

    name: str = Field(validation_alias="model")
    fingerprint: str
    """Hash of the model's files; scores differ only between fingerprints."""
    precision: str
    session: str


class ClassifyTiming(AnswerBody):
    """Time spent, in milliseconds."""

    queue_ms: _Milliseconds
    """Waiting for the engine."""
    inference_ms: _Milliseconds
    """Tokenising and scoring."""
    total_ms: _Milliseconds


class ClassifyCache(AnswerBody):
    """Cache lookups: of texts for an embedding model, of pairs of text and label for a cross-encoder."""

    lookups: int = Field(validation_alias="cache_lookups")
    hits: int = Field(validation_alias="cache_hits")


class Classification(AnswerBody):
    """Labels and scores of a text."""

    label: str | None
    """The best assigned label; `null` if none reaches the threshold."""
    labels: list[str]
    """All labels, best first; ties in the order given."""
    scores: list[float]
    """Probabilities, in the order of `labels`."""
    status: Literal["ok", "abstained"]
    margin: float
    """Distance between the two best scores; with `multi_label`, of the best score from the threshold."""
    assigned: list[str]
    """The labels that reach the threshold, best first."""
    model: ClassifyModel
    timing: ClassifyTiming
    truncated: bool
    """Whether the text was longer than the model reads."""
    cached: bool
    """Whether the whole answer came from the cache."""
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

    @classmethod
    def of(cls, view: ClassifiedText) -> Self:
        names, reply = view.label_set.names, view.reply
        return cls(
            label=next(iter(view.assigned), None),
            labels=[names[index] for index in view.order],
            scores=[reply.scores[index] for index in view.order],
            status=view.decision.status.value,
            margin=view.decision.margin,
            assigned=list(view.assigned),
            model=ClassifyModel.of(reply),
            timing=ClassifyTiming.of({**dict(reply), "total_ms": view.total_ms}),
            truncated=reply.truncated,
            cached=reply.cached,
            cache=ClassifyCache.of(reply),
        )
