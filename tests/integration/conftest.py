"""A made file in which the whole knows more than its rows do."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fixtures.fake_classifier import FakeClassifier
from tests.fixtures.jobs import Made
from worker.tasks.finish_job import JobFinisher
from worker.tasks.models import Models
from yeban.labels import LabelSet

#: Rows of each of the three kinds; those of one kind stand one after the other.
EACH = 60


@pytest.fixture
def three_labels() -> LabelSet:
    return LabelSet.of("甲,乙,丙")


@pytest.fixture
def made() -> Made:
    """Three kinds of rows, each with vectors and words of its own.

    The model tells the first two kinds apart, if not always; of the third (rows 121 to 180) it is fairly sure that they
    are of the second.
    """
    random = np.random.default_rng(7)
    kind = np.repeat(np.arange(3), EACH)
    vectors = np.eye(3, 16)[kind] + 0.1 * random.standard_normal((len(kind), 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    logits = np.log([[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.1, 0.7, 0.2]])[kind]
    logits += 0.4 * random.standard_normal(logits.shape)
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    words = ("包裹 快递", "退款 到账", "发票 抬头")
    lines = [f"{words[of]} {number},{'甲乙丙'[of]}" for number, of in enumerate(kind, 1)]
    return Made(lines=lines, scores=scores.astype(np.float32), vectors=vectors.astype(np.float32))


@pytest.fixture
def end_job(work):
    """Ends a job as a worker does, with refinement."""
    return JobFinisher(database=work.database, models=Models(lambda _name: FakeClassifier()))


@pytest.fixture
def ended(work, made, three_labels, end_job):
    """The made file, refined."""
    job = work.scored(made, label_set=three_labels)
    assert end_job(job.internal_id)
    return work.view(job)
