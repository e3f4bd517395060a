"""When two rankings of the same labels count as the same."""

from __future__ import annotations

import math
from collections.abc import Sequence

from worker.engine.classifier import Ranking

TOLERANCE = 1e-4
"""How far a float32 score may be from ModelScope's."""


def assert_same(ours: Sequence[Ranking], theirs: Sequence[Ranking], *, tolerance: float = TOLERANCE) -> None:
    """The same labels, each with the same score within ``tolerance``, in the same order.

    Labels whose scores are no further apart than rounding can tell have no order.
    """
    assert len(ours) == len(theirs)
    for at, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        expected = by_label(other)
        found = by_label(mine)
        assert found.keys() == expected.keys()
        for label, score in expected.items():
            assert abs(found[label] - score) <= tolerance, f"text {at}, {label}: {found[label]} and {score}"
        assert mine["scores"] == sorted(mine["scores"], reverse=True)
        for better, worse in zip(mine["labels"], mine["labels"][1:], strict=False):
            assert expected[better] >= expected[worse] - tolerance / 10, f"text {at}: {better} before {worse}"


def by_label(ranking: Ranking) -> dict[str, float]:
    """The scores by label; the labels must all differ."""
    assert len(set(ranking["labels"])) == len(ranking["labels"]) == len(ranking["scores"])
    return dict(zip(ranking["labels"], ranking["scores"], strict=True))


def margins(rankings: Sequence[Ranking]) -> list[float]:
    """Of multi-label rankings, in label order: the entailment logit less the contradiction logit."""
    return [math.log(score / (1 - score)) for ranking in rankings for _, score in sorted(by_label(ranking).items())]
