"""An order is carried out once, at its phase; what the model gives depends on all that it ought to depend on."""

from __future__ import annotations

import os
from uuid import uuid4

import numpy as np
import pytest

from tests.faults.orders import Orders, Phase, Points
from tests.faults.predictable import PredictableClassifier, expected_scores
from worker.engine.classifier import Batch
from worker.tasks.in_flight import InFlight
from worker.tasks.models import Model
from yeban.errors import EngineFailed
from yeban.labels import LabelSet


def test_an_order_waits_for_its_phase_and_is_carried_out_once(tmp_path):
    orders, points = Orders(tmp_path), Points(tmp_path)
    orders.give(Phase.ENGINE, "raise")
    assert points.reach(Phase.CLAIMED) is None
    assert orders.taken is None
    assert points.reach(Phase.ENGINE) == "raise"
    assert orders.taken == os.getpid()
    assert points.reach(Phase.ENGINE) is None


def test_an_order_that_is_withdrawn_is_not_carried_out(tmp_path):
    orders, points = Orders(tmp_path), Points(tmp_path)
    orders.give(Phase.ENGINE, "raise")
    orders.withdraw()
    assert points.reach(Phase.ENGINE) is None
    assert orders.taken is None


def test_scores_follow_from_model_labels_and_text():
    alone = expected_scores("a", ["甲", "乙"], "text")
    assert alone == expected_scores("a", ["甲", "乙"], "text")
    others = [
        ("b", ["甲", "乙"], "text"),
        ("a", ["甲", "丙"], "text"),
        ("a", ["乙", "甲"], "text"),
        ("a", ["甲", "乙"], "t"),
    ]
    assert all(expected_scores(*other) != alone for other in others)
    assert all(0 < score < 1 and round(score, 3) == score for score in alone)


@pytest.mark.parametrize(
    ("fault", "text", "error"),
    [("nan", "fine", EngineFailed), ("raise", "fine", RuntimeError), (None, "POISON", RuntimeError)],
)
def test_the_model_fails_as_it_is_told_to(fault, text, error):
    model = Model(PredictableClassifier("a", per_text_s=0, at_work=iter([fault, None]).__next__))
    with InFlight().hold(uuid4()) as work:
        with pytest.raises(error):
            model.score([_batch("beside", text)], work)
        scored = model.score([_batch("fine")], work)
    assert scored.scores[0].tolist() == np.array([expected_scores("a", ["甲", "乙"], "fine")], np.float32).tolist()


def test_a_broken_model_stays_broken():
    model = PredictableClassifier("a", per_text_s=0, at_work=iter(["broken", None]).__next__)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            model.score([_batch("fine")])


def _batch(*texts: str) -> Batch:
    return Batch(texts=texts, label_set=LabelSet.of("甲,乙"), embed=True)
