"""Evaluations as a JSON object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any

from worker.engine import ModelInfo
from worker.evaluation.bootstrap import Interval
from worker.evaluation.decisions import Setting
from worker.evaluation.evaluations import Evaluation, Wanted
from worker.evaluation.figures import Figures

#: Most gold labels outside the label set to list; a wrongly chosen gold column may hold a million.
UNKNOWN_LISTED = 20


def document(evaluations: Sequence[Evaluation], wanted: Wanted, info: ModelInfo) -> dict[str, Any]:
    """The object that ``--json`` prints, without lists and values that were not requested."""
    return {
        "model": {
            "name": info.name,
            "kind": info.kind,
            "fingerprint": info.fingerprint,
            "precision": info.precision,
            "session": info.session,
        },
        "seed": wanted.seed,
        "files": [_file(evaluation, wanted) for evaluation in evaluations],
        "mean": _means(evaluations, wanted),
    }


def means(every: Sequence[dict[Setting, Figures]]) -> dict[Setting, dict[str, float]]:
    """Unweighted means over the files of accuracy, macro-F1 and calibration error, by setting."""
    settings = every[0] if every else {}
    return {
        setting: {
            name: sum(getattr(figures[setting], name) for figures in every) / len(every)
            for name in ("accuracy", "macro_f1", "ece")
        }
        for setting in settings
    }


def _means(evaluations: Sequence[Evaluation], wanted: Wanted) -> list[dict[str, Any]]:
    plain = means([evaluation.plain for evaluation in evaluations])
    helped = means([evaluation.with_examples for evaluation in evaluations])
    return [
        *({"setting": setting, "examples": 0, **values} for setting, values in plain.items()),
        *({"setting": setting, "examples": wanted.examples, **values} for setting, values in helped.items()),
    ]


def _file(evaluation: Evaluation, wanted: Wanted) -> dict[str, Any]:
    file = evaluation.file
    told: dict[str, Any] = {
        "file": file.name,
        "rows": len(file.texts),
        "without_gold": file.without_gold,
        "unusable": file.unusable,
        "labels": list(file.label_set.names),
        "unknown_gold": dict(islice(file.other_counts.items(), UNKNOWN_LISTED)),
        "settings": [
            *(_figures(setting, 0, figures, wanted) for setting, figures in evaluation.plain.items()),
            *(
                _figures(setting, wanted.examples, figures, wanted)
                for setting, figures in evaluation.with_examples.items()
            ),
        ],
    }
    if wanted.corrections:
        told["corrections"] = [asdict(step) for step in evaluation.corrections]
    if wanted.leave_out:
        told["left_out"] = [{**asdict(left), "best": left.best} for left in evaluation.left_out]
    return told


def _figures(setting: Setting, examples: int, figures: Figures, wanted: Wanted) -> dict[str, Any]:
    told: dict[str, Any] = {
        "setting": setting,
        "examples": examples,
        "rows": figures.rows,
        "accuracy": figures.accuracy,
        "accuracy_interval": _interval(figures.intervals.accuracy),
        "macro_f1": figures.macro_f1,
        "macro_f1_interval": _interval(figures.intervals.macro_f1),
        "ece": figures.ece,
        "curve": [asdict(point) for point in figures.curve],
        "per_label": figures.per_label,
    }
    if wanted.precision is not None:
        told["threshold"] = None if figures.threshold is None else asdict(figures.threshold)
    return told


def _interval(interval: Interval) -> list[float]:
    return [interval.low, interval.high]
