"""Evaluation of one file."""

from __future__ import annotations

from dataclasses import dataclass

from worker.evaluation.corrections import Corrected, simulate
from worker.evaluation.decisions import Decided, Setting, decide, decide_with_examples, prepare
from worker.evaluation.figures import Figures, judge
from worker.evaluation.files import LabelledFile
from worker.evaluation.open_set import LeftOut, leave_out, why_not
from worker.evaluation.scorer import Scorer


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Measures to take: ``examples`` per label, ``corrections``, labels to ``leave_out``, ``precision`` in (0, 1]."""

    refine: bool = True
    examples: int = 0
    corrections: int = 0
    leave_out: tuple[str, ...] = ()
    precision: float | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Figures of one file: from its labels alone (``plain``), and the other measures taken."""

    file: LabelledFile
    plain: dict[Setting, Figures]
    with_examples: dict[Setting, Figures]
    corrections: tuple[Corrected, ...]
    left_out: tuple[LeftOut, ...]


def evaluate(file: LabelledFile, scorer: Scorer, wanted: Wanted) -> Evaluation:
    """Measure one file. Labels that cannot be left out of this file are skipped.

    Raises ``InvalidLabels`` when a label does not fit the model, and ``EngineFailed``.
    """
    prepared = prepare(file, scorer, refine=wanted.refine)

    def figures(decided: Decided) -> dict[Setting, Figures]:
        return {
            setting: judge(probabilities, decided.gold, file.names, precision=wanted.precision, seed=wanted.seed)
            for setting, probabilities in decided.by_setting.items()
        }

    return Evaluation(
        file=file,
        plain=figures(decide(prepared)),
        with_examples=(
            figures(decide_with_examples(prepared, scorer, wanted.examples, wanted.seed)) if wanted.examples else {}
        ),
        corrections=tuple(simulate(prepared, wanted.corrections)) if wanted.corrections else (),
        left_out=tuple(
            leave_out(prepared, scorer, label) for label in wanted.leave_out if why_not(file, label) is None
        ),
    )
