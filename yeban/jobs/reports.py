"""Reports of a completed job: its summary, its evaluation against the gold column, and its refinement.

They are stored as JSON. Fields that do not apply to a job are left out there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import PlainSerializer, PlainValidator, TypeAdapter

from yeban.errors import Message


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelFigures:
    """Precision, recall and F1 of one label, in [0, 1], and the number of rows with it as gold label."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RowLabelFigures:
    """Accuracy and macro-F1 of the row labels, before refinement; ``None`` without judged rows."""

    accuracy: float | None
    macro_f1: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Threshold:
    """The lowest threshold that reaches a wanted precision; ``coverage`` is the share of rows that reach it."""

    wanted: float
    threshold: float
    precision: float
    coverage: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfusionMatrix:
    """Cells ``(gold, predicted, rows)``, most rows first, with labels as indexes into the label set.

    A gold label of ``None`` is outside the label set, a predicted label of ``None`` is no label. ``left_out`` is the
    number of rows in the cells that are not kept.
    """

    cells: tuple[tuple[int | None, int | None, int], ...]
    left_out: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """Agreement of a job's effective labels with its gold column.

    ``curve`` has ``(threshold, coverage, accuracy)`` from the lowest threshold on. ``by_row`` is there for refined
    jobs; ``thresholds``, ``curve`` and ``confusion`` are there for jobs whose labels exclude one another.
    """

    rows: int  # with a gold label
    without_gold: int
    accuracy: float | None
    macro_f1: float | None
    per_label: dict[str, LabelFigures]
    unknown_gold: dict[str, int]
    unknown_gold_left_out: int
    by_row: RowLabelFigures | None = None
    thresholds: tuple[Threshold, ...] | None = None
    curve: tuple[tuple[float, float, float], ...] | None = None
    confusion: ConfusionMatrix | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """Counts of a completed job's rows by effective status, label and score; corrections update them.

    ``scores`` has the rows of each of twenty equal parts of [0, 1]; corrected rows and errors have no score.
    """

    rows: int
    ok: int
    abstained: int
    errors: int
    labels: dict[str, int]
    scores: tuple[int, ...]
    seconds: float  # from the first claim to completion
    evaluation: Evaluation | None = None

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read the form that :meth:`to_json` writes."""
        summary: Self = _SUMMARY.validate_python(stored)
        return summary

    def to_json(self) -> dict[str, Any]:
        """Write the form that is stored."""
        written: dict[str, Any] = _SUMMARY.dump_python(self, mode="json", exclude_defaults=True)
        return written


@dataclass(frozen=True, kw_only=True, slots=True)
class RefinementReport:
    """Changes that a refinement made. ``moves`` are ``(from, to, rows)``, with labels as indexes."""

    state: Literal["done"]
    rows: int  # with scores
    changed: int
    moves: tuple[tuple[int, int, int], ...]
    examples: tuple[int, ...]  # row numbers of the most certain changes
    suggested: tuple[int, ...]  # row numbers worth correcting, the most useful first
    changed_since: int | None  # rows that the previous refinement decided otherwise; None for the first
    corrections: int
    sample_rows: int
    temper: float
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class RefinementOmitted:
    """The reason why a job keeps its row labels: refinement does not fit the job, or failed."""

    state: Literal["skipped", "failed"]
    reason: Annotated[Message, PlainValidator(Message.from_json), PlainSerializer(Message.to_json)]


Refinement = RefinementReport | RefinementOmitted

_SUMMARY: TypeAdapter[Any] = TypeAdapter(Summary)
_REFINEMENT: TypeAdapter[Any] = TypeAdapter(Refinement)


def refinement_from_json(stored: Mapping[str, Any]) -> Refinement:
    """Read the form that :func:`refinement_to_json` writes."""
    refinement: Refinement = _REFINEMENT.validate_python(stored)
    return refinement


def refinement_to_json(refinement: Refinement) -> dict[str, Any]:
    """Write the form that is stored."""
    written: dict[str, Any] = _REFINEMENT.dump_python(refinement, mode="json")
    return written
