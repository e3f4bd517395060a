from __future__ import annotations

import numpy as np
import pytest

from tests.unit.worker.evaluation.conftest import PointClassifier
from worker.evaluation.scorer import Scorer
from yeban.errors import ModelUnusable
from yeban.labels import Label, LabelSet

LABELS = LabelSet.of("猫,狗")
TEXTS = ("猫一", "狗一", "猫一", "猫二")


def test_each_distinct_text_is_scored_once_and_keeps_its_place(scorer: Scorer, classifier: PointClassifier) -> None:
    rows = scorer.rows(TEXTS, LABELS)

    assert classifier.texts_scored == ["猫一", "狗一", "猫二"]
    assert rows.scores.shape == (4, 2)
    assert np.array_equal(rows.scores[0], rows.scores[2])
    assert np.array_equal(rows.scores, scorer.scores(TEXTS, LABELS))


def test_scores_have_six_decimals(scorer: Scorer) -> None:
    scores = scorer.scores(TEXTS, LABELS).astype(np.float64)

    assert np.allclose(scores, np.round(scores, 6), rtol=0, atol=1e-7)


def test_embeddings_are_unit_vectors_near_the_models(scorer: Scorer, classifier: PointClassifier) -> None:
    vectors = scorer.rows(TEXTS, LABELS).vectors
    exact = classifier.embed(TEXTS)

    assert exact is not None
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    assert not np.array_equal(vectors, exact)
    assert ((vectors * exact).sum(axis=1) > 0.999).all()


def test_another_model_embeds_where_the_scoring_one_does_not_and_is_opened_once() -> None:
    opened = []

    def open_geometry() -> PointClassifier:
        opened.append(PointClassifier())
        return opened[-1]

    scorer = Scorer(PointClassifier(embeds=False), open_geometry)
    assert scorer.scores(TEXTS, LABELS).shape == (4, 2)
    assert opened == []

    assert np.array_equal(scorer.rows(TEXTS, LABELS).vectors, Scorer(PointClassifier()).rows(TEXTS, LABELS).vectors)
    scorer.rows(TEXTS, LABELS)
    assert len(opened) == 1


def test_without_any_model_that_embeds_there_is_an_error() -> None:
    with pytest.raises(ModelUnusable, match="needs an embedding model"):
        Scorer(PointClassifier(embeds=False)).rows(TEXTS, LABELS)


def test_examples_of_labels_are_embedded_with_their_labels(scorer: Scorer) -> None:
    labels = (Label(name="猫", examples=("猫三", "猫四")), Label(name="狗"), Label(name="鱼", examples=("鱼三",)))

    examples = scorer.examples(LabelSet(labels=labels))

    assert examples is not None
    assert list(examples.texts) == ["猫三", "猫四", "鱼三"]
    assert examples.labels.tolist() == [0, 0, 2]
    assert examples.vectors.shape[0] == 3
    assert scorer.examples(LABELS) is None


def test_it_says_how_far_it_is(classifier: PointClassifier) -> None:
    said: list[str] = []

    Scorer(classifier, say=said.append).scores([f"猫{number}" for number in range(600)], LABELS)

    assert said == ["Scored 512 of 600 texts…", "Scored 600 of 600 texts…"]
