"""Accuracy, calibration and open-set rejection on labelled files of your own, row by row, refined and with help.

``scripts/bench accuracy FILE…``: tables with the columns ``text`` and ``label``; the labels that occur are the
candidates. Every row is scored by the default model, in fp32 and in the precision that runs by default.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.benchmarks.harness import Table, Target, bench_settings, report
from worker.engine import open_classifier
from worker.evaluation.corrections import Corrected, simulate
from worker.evaluation.decisions import Prepared, Setting, decide, decide_with_examples, prepare
from worker.evaluation.figures import Figures, judge
from worker.evaluation.files import LabelledFile, read_labelled
from worker.evaluation.open_set import ANY_LABEL, Rejection, leave_out
from worker.evaluation.scorer import Scorer, open_scorer, open_stores
from yeban.labels import DEFAULT_TEMPLATE
from yeban.tabular import ReadOptions

_EXAMPLES = 5
_SEEDS = (0, 1, 2)
_CORRECTIONS = 50
_BARE = "bare names"
#: What is left out of each.
_PLAINER = {_BARE: ("phrasing", "background"), "phrasing": ("background",), "background": ("phrasing",), "both": ()}
_SCORES = (Setting.ROW_BY_ROW.value, Setting.REFINED.value, ANY_LABEL)
_FEWEST_LABELS_TO_LEAVE_ONE_OUT = 3


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One file. ``helped`` are mean accuracies with examples; ``rejections`` of each score, one a label left out.

    ``plainer`` are the accuracies, row by row and refined, with some features only.
    """

    name: str
    rows: int
    labels: int
    plainer: dict[str, tuple[float, float]]
    alone: dict[Setting, Figures]
    helped: dict[Setting, float]
    corrected: Corrected
    rejections: dict[str, list[Rejection]]
    same_as_fp32: float

    def accuracies(self) -> tuple[float, ...]:
        """Bare names, row by row, refined, with examples row by row and refined, with corrections."""
        alone = (self.alone[setting].accuracy for setting in Setting)
        helped = (self.helped[setting] for setting in Setting)
        return (self.plainer[_BARE][0], *alone, *helped, self.corrected.accuracy, self.corrected.others or float("nan"))

    def honesty(self) -> tuple[float, ...]:
        """Calibration errors of both settings, then both figures of each rejection score."""
        errors = (self.alone[setting].ece for setting in Setting)
        aurocs = (_mean([one.auroc for one in self.rejections[name]]) for name in _SCORES)
        accepts = (_mean([one.false_accept_rate for one in self.rejections[name]]) for name in _SCORES)
        return (*errors, *aurocs, *accepts)


def main() -> None:
    """Print the tables, and the mean of the files."""
    files = [Path(name) for name in sys.argv[1:] if not name.startswith("--")]
    if not files:
        raise SystemExit("usage: scripts/bench accuracy FILE.csv… [--record]")
    with bench_settings() as settings:
        stores = open_stores()
        scorers = {
            name: open_scorer(settings.model, settings.model_dir, settings, without=without, stores=stores)
            for name, without in _PLAINER.items()
        }
        scorer = scorers["both"]
        exact = Scorer(open_classifier(settings.model, model_dir=settings.model_dir, precision="fp32"))
        every = [_measure(file, scorers, exact) for file in files]
    info = scorer.info
    accuracies = np.array([one.accuracies() for one in every])
    mean = dict(zip(("bare", "row", "refined", "row5", "refined5", "corrected"), accuracies.mean(axis=0), strict=False))
    worst = min(one.alone[Setting.REFINED].accuracy - one.alone[Setting.ROW_BY_ROW].accuracy for one in every)
    report(
        "accuracy",
        "Accuracy. “Bare names” embeds each label's name as it is; all else uses the default phrasing. “Examples” are "
        f"{_EXAMPLES} rows of each label, drawn at random and not judged, mean of {len(_SEEDS)} draws. “Corrections” "
        f"are {_CORRECTIONS} rows that the tool names, with a refinement after every ten; corrected rows count as "
        f"right, and the last column leaves them out. Scored by {info.name} in {info.precision} on {info.session}.",
        [
            *("file", "rows", "labels", "bare names", "row by row", "refined"),
            *("row by row, examples", "refined, examples", "corrections", "of the others"),
        ],
        _lines([(one.name, f"{one.rows:,}", str(one.labels)) for one in every], accuracies),
        [
            _points("refined, above bare names", mean["refined"] - mean["bare"], 8.0),
            _points("the file that refinement serves worst, above row by row", worst, -0.5),
            _points(f"with {_EXAMPLES} examples a label, above bare names", mean["refined5"] - mean["bare"], 12.0),
            _points(f"with {_CORRECTIONS} corrections, above bare names", mean["corrected"] - mean["bare"], 15.0),
        ],
        [_features(every), _intervals(every), _honesty(every), _agreement(every)],
    )


def _measure(path: Path, scorers: dict[str, Scorer], exact: Scorer) -> Measured:
    scorer = scorers["both"]
    file = read_labelled(path, ReadOptions(text_column="text", gold_column="label"), template=DEFAULT_TEMPLATE)
    prepared = prepare(file, scorer, refine=True)
    decided = decide(prepared)
    helped: dict[Setting, list[float]] = {setting: [] for setting in Setting}
    for seed in _SEEDS:
        with_examples = decide_with_examples(prepared, scorer, _EXAMPLES, seed)
        for setting, probabilities in with_examples.by_setting.items():
            helped[setting].append(float((probabilities.argmax(axis=1) == with_examples.gold).mean()))
    in_fp32 = exact.scores(file.texts, file.label_set)
    return Measured(
        name=path.stem,
        rows=len(file.texts),
        labels=len(file.label_set),
        plainer={name: _accuracies(file, plain) for name, plain in scorers.items()},
        alone={setting: judge(found, file.gold, file.names) for setting, found in decided.by_setting.items()},
        helped={setting: _mean(values) for setting, values in helped.items()},
        corrected=simulate(prepared, _CORRECTIONS)[-1],
        rejections=_rejections(prepared, scorer),
        same_as_fp32=float((prepared.rows.scores.argmax(axis=1) == in_fp32.argmax(axis=1)).mean()),
    )


def _accuracies(file: LabelledFile, scorer: Scorer) -> tuple[float, float]:
    found = decide(prepare(file, scorer, refine=True)).by_setting
    row_by_row, refined = ((found[setting].argmax(axis=1) == file.gold).mean() for setting in Setting)
    return float(row_by_row), float(refined)


def _features(every: list[Measured]) -> Table:
    header = ["file", *(f"{name}, {setting}" for name in _PLAINER for setting in Setting)]
    values = np.array([[value for name in _PLAINER for value in one.plainer[name]] for one in every])
    return Table(
        "What each feature brings: labels in sentences (phrasing), and what favours a label whatever the text "
        "taken off (background)",
        header,
        _lines([(one.name,) for one in every], values),
    )


def _rejections(prepared: Prepared, scorer: Scorer) -> dict[str, list[Rejection]]:
    names = prepared.file.label_set.names
    if len(names) < _FEWEST_LABELS_TO_LEAVE_ONE_OUT:
        return {name: [] for name in _SCORES}
    left_out = [leave_out(prepared, scorer, label) for label in names]
    return {name: [one.scores[name] for one in left_out] for name in _SCORES}


def _intervals(every: list[Measured]) -> Table:
    header = ["file"]
    header += [f"{setting}: {name}" for setting in Setting for name in ("accuracy, 95 %", "macro-F1", "95 %")]
    rows = []
    for one in every:
        row = [one.name]
        for setting in Setting:
            figures = one.alone[setting]
            accuracy, macro_f1 = figures.intervals.accuracy, figures.intervals.macro_f1
            row += [f"{accuracy.low:.3f}–{accuracy.high:.3f}", f"{figures.macro_f1:.3f}"]
            row += [f"{macro_f1.low:.3f}–{macro_f1.high:.3f}"]
        rows.append(row)
    return Table("How sure the figures are (bootstrap), and macro-F1", header, rows)


def _honesty(every: list[Measured]) -> Table:
    header = ["file", *(f"ECE, {setting}" for setting in Setting)]
    header += [f"AUROC, {name}" for name in _SCORES]
    header += [f"false accepts, {name}" for name in _SCORES]
    lines = _lines([(one.name,) for one in every], np.array([one.honesty() for one in every]))
    title = (
        "Calibration (15 bins), and rejecting the rows of a label left out (mean over the labels; at 95 % true accepts)"
    )
    return Table(title, header, lines)


def _agreement(every: list[Measured]) -> Table:
    lines = _lines([(one.name,) for one in every], np.array([[one.same_as_fp32] for one in every]))
    return Table("Rows whose best label is that of fp32, row by row", ["file", "same"], lines)


def _lines(heads: list[tuple[str, ...]], values: np.ndarray) -> list[list[str]]:
    """One line a file and one for the mean, over the files that have the figure."""
    blank = [""] * (len(heads[0]) - 1)
    means = [_mean([value for value in column if not np.isnan(value)]) for column in values.T]
    lines = [[*head, *map(_shown, row)] for head, row in zip(heads, values, strict=True)]
    return [*lines, ["**mean**", *blank, *map(_shown, means)]]


def _points(what: str, gained: float, wanted: float) -> Target:
    text = f"{what}: {100 * gained:+.1f} points (target: at least {wanted:+.1f})"
    return Target(text=text, reached=bool(100 * gained >= wanted))


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _shown(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}"


if __name__ == "__main__":
    main()
