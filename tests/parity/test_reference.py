"""What ModelScope's pipeline does with several texts: why the baseline is a loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.structbert import make_structbert
from tests.parity.conftest import Sides
from tests.parity.modelscope_reference import ModelScopeReference

LABELS = "家居,旅游,科技"
TEXTS = ["手机屏幕碎了", "退款没有收到"]


def test_a_list_is_scored_one_by_one(sides: Sides) -> None:
    listed = sides.theirs.call(TEXTS, candidate_labels=LABELS)

    assert listed == [sides.theirs.call(text, candidate_labels=LABELS) for text in TEXTS]


def test_batches_lose_labels(sides: Sides) -> None:
    batched = sides.theirs.call(TEXTS, candidate_labels=LABELS, batch_size=2)

    assert [len(ranking["labels"]) for ranking in batched] == [1, 1]


def test_batches_of_unequal_texts_raise(sides: Sides) -> None:
    with pytest.raises(RuntimeError, match="Sizes of tensors"):
        sides.theirs.call(["手机屏幕碎了", "退款"], candidate_labels=LABELS, batch_size=2)


def test_the_prefix_of_one_checkpoint_does_not_stick_to_the_next(
    sides: Sides, open_theirs: Callable[[Path], ModelScopeReference], tmp_path: Path
) -> None:
    open_theirs(make_structbert(tmp_path, prefix="encoder."))

    assert open_theirs(sides.folder).classify(TEXTS, LABELS) == sides.theirs.classify(TEXTS, LABELS)
