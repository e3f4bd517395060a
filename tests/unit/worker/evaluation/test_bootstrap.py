from __future__ import annotations

import numpy as np
import pytest

from worker.evaluation import bootstrap as module
from worker.evaluation.bootstrap import bootstrap
from yeban.results.evaluation import Agreement


def labels(rows: int, *, right: float, seed: int, n_labels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    gold = random.integers(n_labels, size=rows)
    wrong = (gold + random.integers(1, n_labels, size=rows)) % n_labels
    return gold, np.where(random.random(rows) < right, gold, wrong)


def test_where_every_row_is_right_there_is_no_doubt() -> None:
    gold = np.array([0, 1, 1, 2])

    found = bootstrap(gold, gold, n_labels=3)

    assert (found.accuracy.low, found.accuracy.high) == (1.0, 1.0)
    assert (found.macro_f1.low, found.macro_f1.high) == (1.0, 1.0)


def test_the_same_seed_gives_the_same_intervals_and_another_others() -> None:
    gold, predicted = labels(97, right=0.7, seed=5)

    assert bootstrap(gold, predicted, n_labels=3, seed=1) == bootstrap(gold, predicted, n_labels=3, seed=1)
    assert bootstrap(gold, predicted, n_labels=3, seed=1) != bootstrap(gold, predicted, n_labels=3, seed=2)


def test_the_true_accuracy_is_in_the_interval_as_often_as_it_says() -> None:
    inside = 0
    for seed in range(200):
        gold, predicted = labels(200, right=0.7, seed=seed)
        found = bootstrap(gold, predicted, n_labels=3, seed=seed).accuracy
        inside += found.low <= 0.7 <= found.high

    # 95 % of 200 is 190, with a standard deviation of 3.
    assert 180 <= inside <= 198


def test_it_is_what_drawing_the_rows_themselves_gives() -> None:
    gold, predicted = labels(60, right=0.6, seed=3)
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(1_000):
        rows = random.integers(60, size=60)
        agreement = Agreement(["a", "b", "c", "d"])
        for right, chosen in zip(gold[rows], predicted[rows], strict=True):
            agreement.add(["abc"[right]], ["abc"[chosen]])
        drawn.append(agreement.macro_f1)

    found = bootstrap(gold, predicted, n_labels=4).macro_f1

    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.02)


def test_many_labels_are_counted_in_parts_and_come_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    gold, predicted = labels(300, right=0.5, seed=4, n_labels=40)
    whole = bootstrap(gold, predicted, n_labels=40)

    monkeypatch.setattr(module, "_MOST_COUNTS", 40 * 70)

    assert bootstrap(gold, predicted, n_labels=40) == whole
