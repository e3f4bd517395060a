from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.engine.nli import classifier

LOGIT = st.floats(-30, 30, width=32)
LOGITS = st.lists(st.tuples(LOGIT, LOGIT, LOGIT), min_size=1, max_size=6)


def softmax(values: list[float]) -> list[float]:
    raised = [math.exp(value - max(values)) for value in values]
    return [value / sum(raised) for value in raised]


@settings(deadline=None)
@given(LOGITS)
def test_labels_that_exclude_each_other_share_one_softmax_of_entailment(rows: list[tuple[float, float, float]]) -> None:
    scores = classifier.exclusive(np.array([rows], np.float32), entailment=1)

    assert scores.dtype == np.float32
    assert scores.shape == (1, len(rows))
    np.testing.assert_allclose(scores[0], softmax([row[1] for row in rows]), atol=1e-6)


@settings(deadline=None)
@given(LOGITS)
def test_independent_labels_have_a_softmax_each_over_contradiction_and_entailment(
    rows: list[tuple[float, float, float]],
) -> None:
    scores = classifier.independent(np.array([rows], np.float32), entailment=0, contradiction=2)

    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores[0], [softmax([row[2], row[0]])[1] for row in rows], atol=1e-6)


def test_logits_of_any_size_give_probabilities() -> None:
    logits = np.array([[[1e4, 0, -1e4], [-1e4, 0, 1e4]]], np.float32)

    assert classifier.exclusive(logits, entailment=0).tolist() == [[1, 0]]
    assert classifier.independent(logits, entailment=0, contradiction=2).tolist() == [[1, 0]]


def test_no_texts_have_no_scores() -> None:
    assert classifier.exclusive(np.zeros((0, 4, 3), np.float32), entailment=0).shape == (0, 4)
    assert classifier.independent(np.zeros((0, 4, 3), np.float32), entailment=0, contradiction=2).shape == (0, 4)
