"""Accuracy, macro-F1 and calibration of row-by-row tagging on labelled files of your own.

``scripts/bench accuracy FILE…``: CSV files with the columns ``text`` and ``label``; the labels that occur are the
candidates. Every row is scored by the default model, in fp32 and in the precision that runs by default.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

from tests.benchmarks.harness import bench_settings, report
from worker.engine import Batch, Classifier, open_classifier
from worker.engine.calibration import expected_calibration_error
from yeban.evaluation import Agreement
from yeban.labels import LabelSet

_BATCH = 512


def main() -> None:
    """Print one line a file, and the mean of the files."""
    files = [Path(name) for name in sys.argv[1:] if not name.startswith("--")]
    if not files:
        raise SystemExit("usage: scripts/bench accuracy FILE.csv… [--record]")
    with bench_settings() as settings:
        by_default = open_classifier(settings.model, model_dir=settings.model_dir)
        reference = open_classifier(settings.model, model_dir=settings.model_dir, precision="fp32")
        lines, figures = [], []
        for file in files:
            texts, gold, names = _read(file)
            label_set = LabelSet.of(names)
            scores, exact = _score(by_default, texts, label_set), _score(reference, texts, label_set)
            agreement = Agreement(names)
            for right, row in zip(gold, scores, strict=True):
                agreement.add([names[right]], [names[int(row.argmax())]])
            figure = (
                agreement.accuracy or 0.0,
                agreement.macro_f1 or 0.0,
                expected_calibration_error(scores.astype(np.float64), np.array(gold)),
                float((scores.argmax(axis=1) == exact.argmax(axis=1)).mean()),
            )
            figures.append(figure)
            lines.append([file.stem, f"{len(texts):,}", str(len(names)), *(f"{value:.3f}" for value in figure)])
        lines.append(["**mean**", "", "", *(f"{value:.3f}" for value in np.mean(figures, axis=0))])
    report(
        "accuracy",
        "Each row is scored alone against all labels of its file, with the plain template, by "
        f"{by_default.info.name} in {by_default.info.precision} on {by_default.info.session}. ECE is the expected "
        "calibration error over 15 bins. The last column is the share of rows whose best label is that of fp32.",
        ["file", "rows", "labels", "accuracy", "macro-F1", "ECE", "same as fp32"],
        lines,
        [],
    )


def _read(file: Path) -> tuple[list[str], list[int], list[str]]:
    with file.open(encoding="utf-8-sig", newline="") as source:
        rows = [(row["text"], row["label"]) for row in csv.DictReader(source)]
    names = sorted({label for _, label in rows})
    return [text for text, _ in rows], [names.index(label) for _, label in rows], names


def _score(classifier: Classifier, texts: list[str], label_set: LabelSet) -> np.ndarray:
    blocks = [tuple(texts[first : first + _BATCH]) for first in range(0, len(texts), _BATCH)]
    return np.concatenate([classifier.score([Batch(texts=block, label_set=label_set)]).scores[0] for block in blocks])


if __name__ == "__main__":
    main()
