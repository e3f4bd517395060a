"""Rows that fit no label: one label is taken from the candidates, and its rows should then be told from the others."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from worker.evaluation.decisions import Prepared, Setting, refined
from worker.evaluation.files import LabelledFile
from worker.evaluation.rejection import Rejection, measure
from worker.evaluation.scorer import Scorer
from yeban.errors import InvalidLabels, msg
from yeban.labels import LABEL_JOINER

#: The largest of the scores that each label has by itself, as in a multi-label job.
ANY_LABEL = "any label"


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """How well each score rejects the ``rejected`` rows that fit none of the labels once ``label`` is left out.

    ``scores`` has those of the two settings, which are the probability of the best label, and :data:`ANY_LABEL`.
    """

    label: str
    rows: int
    rejected: int
    scores: dict[str, Rejection]

    @property
    def best(self) -> str:
        """The score with the largest area under the ROC curve."""
        return max(self.scores, key=lambda name: self.scores[name].auroc)


def leave_out(prepared: Prepared, scorer: Scorer, label: str) -> LeftOut:
    """Decide the file without ``label``. Raises ``InvalidLabels`` for :func:`why_not`."""
    file = prepared.file
    if (reason := why_not(file, label)) is not None:
        raise InvalidLabels(msg("%(file)s: %(reason)s", file=file.name, reason=reason), label=label)
    kept = [number for number, name in enumerate(file.label_set.names) if name != label]
    remaining = replace(file.label_set, labels=tuple(file.label_set.labels[number] for number in kept))
    own = scorer.scores(file.texts, remaining)
    best = {Setting.ROW_BY_ROW.value: own.max(axis=1)}
    if not any(LABEL_JOINER in name for name in remaining.names):  # such labels cannot be scored by themselves
        alone = scorer.scores(file.texts, replace(remaining, multi_label=True))
        best[ANY_LABEL] = alone.max(axis=1)
    if prepared.refines:
        examples = scorer.examples(remaining)
        best[Setting.REFINED.value] = refined(replace(prepared.rows, scores=own), examples=examples).max(axis=1)
    fits = np.isin(file.gold, kept)
    return LeftOut(
        label=label,
        rows=len(fits),
        rejected=int((~fits).sum()),
        scores={name: measure(scores, fits) for name, scores in best.items()},
    )


def why_not(file: LabelledFile, label: str) -> str | None:
    """Why nothing can be measured by leaving out ``label``; ``None`` if it can."""
    names = file.label_set.names
    if label not in names:
        return f"There is no label “{label}” to leave out; there are: {', '.join(names)}."
    if len(names) < 3:
        return "To leave one label out, at least three are needed."
    has_it = file.gold == names.index(label)
    if not has_it.any():
        return f"No row has the label “{label}”, so leaving it out measures nothing."
    if not (~has_it & (file.gold < len(names))).any():
        return f"No row has another label than “{label}”, so none could be accepted."
    return None
