"""A job's accuracy: figures by label, confusion matrix and thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from yeban.database.tables.states import FINISHED
from yeban.errors import Conflict, msg
from yeban.jobs.reports import Evaluation, LabelFigures, Threshold
from yeban.jobs.views import JobView

#: Codes, in place of a label's number, for gold labels outside the label set and for rows without a label.
OTHER, NONE = "other", "none"

LABEL_COLUMNS = ("label", "support", "precision", "recall", "f1")
CONFUSION_COLUMNS = ("gold", "predicted", "rows")

#: Accuracy that a suggested threshold reaches.
SUGGESTED_FOR = 0.9


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Rows with one gold label that have one predicted label; ``None`` stands for a value outside the job's labels."""

    gold: int | None
    predicted: int | None
    rows: int
    share: float  # share of the rows with that gold label, among the stored cells


@dataclass(frozen=True, kw_only=True)
class Confusions:
    """The stored part of the confusion matrix, largest cells first."""

    cells: tuple[Cell, ...]
    left_out: int  # rows in cells that were not stored

    def mistakes(self) -> list[Cell]:
        """Cells off the diagonal, largest first."""
        return [cell for cell in self.cells if cell.gold is None or cell.gold != cell.predicted]

    def at(self) -> dict[tuple[int | None, int | None], Cell]:
        """Cells by their labels."""
        return {(cell.gold, cell.predicted): cell for cell in self.cells}


def evaluation_of(job: JobView) -> Evaluation:
    """Return the job's evaluation. Raises ``Conflict`` with the reason without one."""
    if job.gold_index is None:
        raise Conflict(msg("The job has no gold column. Submit the file with one to see its accuracy."))
    if job.summary is None or job.summary.evaluation is None:
        raise Conflict(
            msg(
                "Accuracy is not available for a job that is %(state)s. Resume the job to get it when the "
                "job finishes.",
                state=job.state.message,
            )
            if job.state in FINISHED
            else msg(
                "Accuracy is not available for a job that is %(state)s. Try again when the job has finished.",
                state=job.state.message,
            ),
            state=job.state,
        )
    return job.summary.evaluation


def confusions_of(evaluation: Evaluation) -> Confusions | None:
    """The confusions; ``None`` where labels do not exclude one another."""
    confusion = evaluation.confusion
    if confusion is None:
        return None
    support: dict[int | None, int] = {}
    for gold, _, rows in confusion.cells:
        support[gold] = support.get(gold, 0) + rows
    cells = tuple(
        Cell(gold=gold, predicted=predicted, rows=rows, share=rows / support[gold])
        for gold, predicted, rows in confusion.cells
    )
    return Confusions(cells=cells, left_out=confusion.left_out)


def suggested(evaluation: Evaluation) -> Threshold | None:
    """The lowest threshold above which a share of :data:`SUGGESTED_FOR` of the rows is right, if any."""
    found = (each for each in evaluation.thresholds or () if each.wanted == SUGGESTED_FOR)
    return next(found, None)


def steps(curve: Sequence[Sequence[float]], count: int = 20) -> list[tuple[float, float, float]]:
    """The curve at even thresholds ``(threshold, coverage, accuracy)``, with the values of the next score above.
    Thresholds that no row reaches are left out.
    """
    found = []
    for step in range(count + 1):
        threshold = step / count
        point = next((point for point in curve if point[0] >= threshold - 1e-9), None)
        if point is not None:
            found.append((threshold, point[1], point[2]))
    return found


def figures_of(job: JobView, evaluation: Evaluation) -> list[tuple[str, LabelFigures]]:
    """Precision, recall, F1 and support of each occurring label, in label set order."""
    figures = evaluation.per_label
    return [(name, figures[name]) for name in job.label_set.names if name in figures]


def label_table(job: JobView, evaluation: Evaluation) -> Iterator[list[str | float | None]]:
    """The rows of the labels' table, in the order of :data:`LABEL_COLUMNS`."""
    for name, figures in figures_of(job, evaluation):
        yield [name, figures.support, *(round(getattr(figures, column), 6) for column in LABEL_COLUMNS[2:])]


def confusion_table(job: JobView, confusions: Confusions) -> Iterator[list[str | float | None]]:
    """The rows of the confusions' table, in the order of :data:`CONFUSION_COLUMNS`; other values are blank."""
    names = job.label_set.names
    for cell in confusions.cells:
        yield [
            "" if cell.gold is None else names[cell.gold],
            "" if cell.predicted is None else names[cell.predicted],
            cell.rows,
        ]
