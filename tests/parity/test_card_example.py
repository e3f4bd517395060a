"""The example on the model card of ``damo/nlp_structbert_zero-shot-classification_chinese-large``.

``YEBAN_TEST_STRUCTBERT_LARGE`` names the folder with the published weights.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.parity.comparing import assert_same, by_label
from tests.parity.modelscope_reference import ModelScopeReference
from worker.engine.classifier import Classifier

TEXT = "世界那么大，我想去看看"
LABELS = "家居,旅游,科技,军事,游戏,故事"
SINGLE = {"旅游": 0.2843, "故事": 0.2031, "游戏": 0.1453, "家居": 0.1269, "军事": 0.1238, "科技": 0.1166}
MULTI = {"旅游": 0.7894, "故事": 0.5234, "游戏": 0.4126}
ROUNDING = 2e-4
"""The card's four decimals, and what another machine may make of the last one."""


@pytest.fixture(scope="module")
def folder() -> Path:
    named = os.environ.get("YEBAN_TEST_STRUCTBERT_LARGE")
    if not named:
        pytest.skip("YEBAN_TEST_STRUCTBERT_LARGE names no folder with the published weights")
    return Path(named)


@pytest.fixture(scope="module")
def ours(folder: Path, open_ours: Callable[..., Classifier]) -> Classifier:
    return open_ours(folder)


def test_single_label(ours: Classifier) -> None:
    [ranking] = ours.classify([TEXT], LABELS)

    assert ranking["labels"] == list(SINGLE)
    assert by_label(ranking) == pytest.approx(SINGLE, abs=ROUNDING)


def test_multi_label(ours: Classifier) -> None:
    [ranking] = ours.classify([TEXT], LABELS, multi_label=True)

    assert ranking["labels"][:3] == list(MULTI)
    assert ranking["scores"][:3] == pytest.approx(list(MULTI.values()), abs=ROUNDING)


def test_int8_has_the_same_first_label(folder: Path, open_ours: Callable[..., Classifier]) -> None:
    [ranking] = open_ours(folder, precision="int8").classify([TEXT], LABELS)

    assert ranking["labels"][0] == "旅游"


@pytest.mark.parametrize("multi_label", [False, True])
def test_modelscope_agrees(
    folder: Path, ours: Classifier, open_theirs: Callable[[Path], ModelScopeReference], multi_label: bool
) -> None:
    theirs = open_theirs(folder)
    texts = [TEXT, "", "手机屏幕碎了怎么办，" * 80]

    assert_same(
        ours.classify(texts, LABELS, multi_label=multi_label),
        theirs.classify(texts, LABELS, multi_label=multi_label),
    )
