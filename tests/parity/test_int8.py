"""INT8 against ModelScope's float32.

Random weights say less than real ones about how well INT8 does: their labels are close together. They do show a
wrong scale, a lost bias or a graph that differs.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.fixtures.structbert import default_vocab
from tests.parity.comparing import margins
from tests.parity.conftest import Sides
from worker.engine.classifier import Classifier, Ranking

LABELS = ["家居", "旅游", "科技", "军事", "游戏", "故事"]


@pytest.fixture(scope="module")
def larger(make_sides: Callable[..., Sides]) -> Sides:
    """Large enough for its activations to spread as a model's do."""
    return make_sides(layers=4, hidden=128, heads=4, intermediate=512, seed=2)


@pytest.fixture(scope="module")
def int8(larger: Sides, open_ours: Callable[..., Classifier]) -> Classifier:
    return open_ours(larger.folder, precision="int8")


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Of 0 to 60 tokens."""
    chosen = random.Random(7)
    vocab = [token for token in default_vocab() if not token.startswith(("##", "["))]
    return ["".join(chosen.choices(vocab, k=length)) for length in range(61)]


def _matrix(rankings: Sequence[Ranking]) -> NDArray[np.float64]:
    """Scores as ``(n_texts, n_labels)``, in the order of ``LABELS``."""
    return np.array([[ranking["scores"][ranking["labels"].index(label)] for label in LABELS] for ranking in rankings])


def test_the_first_label_is_mostly_the_same(larger: Sides, int8: Classifier, texts: list[str]) -> None:
    theirs = _matrix(larger.theirs.classify(texts, LABELS))
    ours = _matrix(int8.classify(texts, LABELS))

    first = ours.argmax(axis=1)
    lost = theirs.max(axis=1) - theirs[np.arange(len(texts)), first]
    assert np.mean(first == theirs.argmax(axis=1)) >= 0.85
    assert lost.max() < 0.1


def test_logits_stay_near(larger: Sides, int8: Classifier, texts: list[str]) -> None:
    theirs = margins(larger.theirs.classify(texts, LABELS, multi_label=True))
    ours = margins(int8.classify(texts, LABELS, multi_label=True))

    apart = np.abs(np.subtract(ours, theirs))
    assert apart.max() < 1.0
    assert apart.mean() < 0.2
    assert np.corrcoef(ours, theirs)[0, 1] > 0.995


def test_a_text_alone_scores_as_in_company(int8: Classifier, texts: list[str]) -> None:
    together = _matrix(int8.classify(texts[:20], LABELS))
    alone = _matrix([int8.classify([text], LABELS)[0] for text in texts[:20]])

    assert together == pytest.approx(alone, abs=0.05)
