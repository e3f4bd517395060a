"""Evaluations as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

from rich.console import Console
from rich.table import Table

from worker.engine import ModelInfo
from worker.evaluation.bootstrap import Interval
from worker.evaluation.decisions import Setting
from worker.evaluation.evaluations import Evaluation, Wanted
from worker.evaluation.figures import Figures
from worker.evaluation.representation import UNKNOWN_LISTED, means


def present(evaluations: Sequence[Evaluation], wanted: Wanted, info: ModelInfo, console: Console) -> None:
    """Print the requested tables, and notes on rows left out."""
    console.print(f"Scored by {info.name} ({info.precision} on {info.session}).")
    console.print(_accuracy("From the labels alone", evaluations, lambda one: one.plain))
    if wanted.examples:
        title = f"With {wanted.examples} examples a label"
        console.print(_accuracy(title, evaluations, lambda one: one.with_examples))
    if wanted.precision is not None:
        console.print(_thresholds(evaluations, wanted))
    if wanted.corrections:
        console.print(_corrections(evaluations))
    if wanted.leave_out:
        console.print(_left_out(evaluations))
    for note in _notes(evaluations):
        console.print(note)


def _table(title: str, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in texts:
        table.add_column(name)
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def _accuracy(
    title: str, evaluations: Sequence[Evaluation], of: Callable[[Evaluation], dict[Setting, Figures]]
) -> Table:
    table = _table(title, ("file", "setting"), ("rows", "labels", "accuracy", "95 %", "macro-F1", "95 %", "ECE"))
    for evaluation in evaluations:
        for setting, figures in of(evaluation).items():
            table.add_row(
                evaluation.file.name,
                setting,
                f"{figures.rows:,}",
                f"{len(evaluation.file.label_set):,}",
                f"{figures.accuracy:.3f}",
                _interval(figures.intervals.accuracy),
                f"{figures.macro_f1:.3f}",
                _interval(figures.intervals.macro_f1),
                f"{figures.ece:.3f}",
            )
    if len(evaluations) > 1:
        table.add_section()
        for setting, mean in means([of(evaluation) for evaluation in evaluations]).items():
            accuracy, macro_f1, ece = (f"{mean[name]:.3f}" for name in ("accuracy", "macro_f1", "ece"))
            table.add_row("mean", setting, "", "", accuracy, "", macro_f1, "", ece)
    return table


def _thresholds(evaluations: Sequence[Evaluation], wanted: Wanted) -> Table:
    title = f"Lowest threshold with a precision of {wanted.precision:g}"
    table = _table(title, ("file", "setting", "examples"), ("threshold", "rows kept", "share", "precision", "at least"))
    for evaluation in evaluations:
        for examples, by_setting in ((0, evaluation.plain), (wanted.examples, evaluation.with_examples)):
            for setting, figures in by_setting.items():
                found = figures.threshold
                row = (
                    ("none", "0", "", "", "")
                    if found is None
                    else (
                        f"{found.threshold:.6f}",
                        f"{found.kept:,}",
                        f"{found.coverage:.1%}",
                        f"{found.precision:.3f}",
                        f"{found.precision_low:.3f}",
                    )
                )
                table.add_row(evaluation.file.name, setting, str(examples or "none"), *row)
    return table


def _corrections(evaluations: Sequence[Evaluation]) -> Table:
    table = _table("Corrections, chosen by the tool", ("file",), ("corrections", "accuracy", "of the others"))
    for evaluation in evaluations:
        for step in evaluation.corrections:
            others = "" if step.others is None else f"{step.others:.3f}"
            table.add_row(evaluation.file.name, f"{step.corrections:,}", f"{step.accuracy:.3f}", others)
        table.add_section()
    return table


def _left_out(evaluations: Sequence[Evaluation]) -> Table:
    table = _table(
        "Rejecting the rows of a label left out",
        ("file", "left out", "by the score"),
        ("rows to reject", "AUROC", "false accepts at 95 % true"),
    )
    for evaluation in evaluations:
        for left in evaluation.left_out:
            for name, rejection in left.scores.items():
                table.add_row(
                    evaluation.file.name,
                    left.label,
                    f"{name} (best)" if name == left.best else name,
                    f"{left.rejected:,} of {left.rows:,}",
                    f"{rejection.auroc:.3f}",
                    f"{rejection.false_accept_rate:.1%}",
                )
            table.add_section()
    return table


def _notes(evaluations: Sequence[Evaluation]) -> list[str]:
    notes = []
    for evaluation in evaluations:
        file = evaluation.file
        if file.without_gold:
            notes.append(f"{file.name}: {file.without_gold:,} rows without a right label are left out.")
        if file.unusable:
            notes.append(f"{file.name}: {file.unusable:,} rows without a text, or with another problem, are left out.")
        if file.other_counts:
            listed = ", ".join(
                f"{label} ({count:,})" for label, count in islice(file.other_counts.items(), UNKNOWN_LISTED)
            )
            notes.append(f"{file.name}: right labels that are not among the labels, so always missed: {listed}.")
    return notes


def _interval(interval: Interval) -> str:
    return f"{interval.low:.3f}–{interval.high:.3f}"
