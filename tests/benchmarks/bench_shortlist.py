"""What a shortlist costs and saves: agreement with scoring every label, and speed, by how many labels are kept.

``scripts/bench shortlist --model CHECKPOINT --labels LABELS.json FILE…`` with the extra ``models``: CHECKPOINT is a
trained cross-encoder (see ``train_cross_encoder``), LABELS.json a list of labels that holds those of the files, and
FILE… CSV files with the columns ``text`` and ``label``, of which the rows held out from training are used.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.harness import Target, bench_settings, report
from tests.benchmarks.train_cross_encoder import read_labelled
from worker.engine import Batch, Classifier, open_classifier
from worker.engine.models import store
from worker.engine.shortlist import ShortlistClassifier
from yeban.labels import LabelSet

_KEPT = (5, 10, 20, 30, 50)
_WANTED_AGREEMENT, _WANTED_SPEED = 0.98, 10.0


def main() -> None:
    """Score every label once, and then each shortlist."""
    options = _options()
    labels = LabelSet.of(json.loads(options.labels.read_text(encoding="utf-8")))
    texts, gold = _held_out(options.files, labels, options.rows)
    with bench_settings() as settings:
        name = store.build(str(options.model), settings.model_dir, called="trained-cross-encoder").name
        scorer = open_classifier(name, model_dir=settings.model_dir)
        ranker = open_classifier("e5-small", model_dir=settings.model_dir)
        for classifier in (scorer, ranker):
            classifier.warm_up()
        whole, whole_s = _best(scorer, texts, labels)
        lines = [["all", f"{len(texts) / whole_s:.2f}", "1.0", "1.000", f"{np.mean(whole == gold):.3f}"]]
        reached = []
        for kept in _KEPT:
            shortlist = ShortlistClassifier(ranker, scorer, keep=kept)
            shortlist.score([Batch(texts=("夜",), label_set=labels)])  # what is worked out once a label set
            best, took_s = _best(shortlist, texts, labels)
            agreement, faster = float(np.mean(best == whole)), whole_s / took_s
            reached.append(agreement >= _WANTED_AGREEMENT and faster >= _WANTED_SPEED)
            lines.append(
                [
                    str(kept),
                    f"{len(texts) / took_s:.2f}",
                    f"{faster:.1f}",
                    f"{agreement:.3f}",
                    f"{np.mean(best == gold):.3f}",
                ]
            )
    report(
        "shortlist",
        f"{len(texts)} texts held out from training, {len(labels)} labels, {ranker.info.name} picks and a trained "
        f"cross-encoder ({scorer.info.precision} on {scorer.info.session}) scores; nothing cached, one run each.",
        ["labels kept", "texts/s", "times faster", "same best label", "accuracy"],
        lines,
        [
            Target(
                f"{_WANTED_SPEED:.0f} times faster than scoring all labels, with the same best label in "
                f"{_WANTED_AGREEMENT:.0%} of texts",
                any(reached),
            )
        ],
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench shortlist")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--model", type=Path, required=True, help="folder of a trained cross-encoder")
    parser.add_argument("--labels", type=Path, required=True, help="JSON list of all labels")
    parser.add_argument("--rows", type=int, default=40, help="texts of each file")
    parser.add_argument("--record", action="store_true")
    return parser.parse_args()


def _held_out(files: list[Path], labels: LabelSet, rows: int) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    texts: list[str] = []
    gold: list[int] = []
    for file in files:
        labelled = read_labelled(file)
        for text, label in labelled.held_out[:rows]:
            texts.append(text)
            gold.append(labels.names.index(labelled.labels[label]))
    return tuple(texts), np.array(gold, np.intp)


def _best(classifier: Classifier, texts: tuple[str, ...], labels: LabelSet) -> tuple[NDArray[np.intp], float]:
    started = time.perf_counter()
    scores = classifier.score([Batch(texts=texts, label_set=labels)]).scores[0]
    return np.asarray(scores.argmax(axis=1), np.intp), time.perf_counter() - started


if __name__ == "__main__":
    main()
