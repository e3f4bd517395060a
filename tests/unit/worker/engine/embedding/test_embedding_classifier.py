from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.dict_store import DictStore
from worker.engine import Batch, Plan, Stores, open_classifier
from worker.engine.classifier import rank
from worker.engine.embedding.classifier import EmbeddingClassifier, plainer
from worker.engine.nli.samples import ordinary_texts
from worker.engine.phrasing import name_strings
from worker.engine.sessions import Inputs, Progress, Session
from worker.engine.sessions.base import nothing
from yeban.errors import EngineFailed, EngineUnavailable, InvalidLabels, UnknownModel
from yeban.labels import Label, LabelSet

TOPICS = LabelSet.of("物流,退款,发票")
TEXTS = ("快递三天没动了", "什么时候把钱退给我", "请给我开一张发票")


class BrokenSession(Session):
    name = "broken"
    device = "cpu"
    threads = 1
    block_tokens = 512

    def run(self, calls: Sequence[Inputs], *, progress: Progress = nothing) -> list[np.ndarray]:
        return [np.full((len(call["input_ids"]), 384), np.nan, np.float32) for call in calls]


@pytest.fixture
def stores() -> Stores:
    return Stores(labels=DictStore(), texts=DictStore())


@pytest.fixture
def caching(classifier: EmbeddingClassifier, stores: Stores) -> EmbeddingClassifier:
    return EmbeddingClassifier(classifier._encoder, classifier.info, classifier._spec, stores=stores)


def batch(*texts: str, label_set: LabelSet = TOPICS) -> Batch:
    return Batch(texts=texts, label_set=label_set)


def test_the_obvious_label_comes_first(classifier: EmbeddingClassifier) -> None:
    ranked = classifier.classify(TEXTS, ["物流", "退款", "发票"])

    assert [ranking["labels"][0] for ranking in ranked] == ["物流", "退款", "发票"]
    for ranking in ranked:
        assert ranking["scores"] == sorted(ranking["scores"], reverse=True)
        assert sum(ranking["scores"]) == pytest.approx(1.0, abs=1e-5)


def test_english_labels_and_texts_work_too(classifier: EmbeddingClassifier) -> None:
    ranked = classifier.classify(["Where is my parcel?", "I want my money back"], "shipping,refund，invoice")

    assert [ranking["labels"][0] for ranking in ranked] == ["shipping", "refund"]


def test_labels_may_be_one_string(classifier: EmbeddingClassifier) -> None:
    assert classifier.classify(TEXTS, "物流， 退款,,发票") == classifier.classify(TEXTS, ["物流", "退款", "发票"])


def test_equal_scores_keep_the_order_given() -> None:
    assert rank(np.array([0.2, 0.4, 0.4], np.float32), ["a", "b", "c"])["labels"] == ["b", "c", "a"]
    assert rank(np.array([0.2, 0.4, 0.4], np.float32), ["a", "c", "b"])["labels"] == ["c", "b", "a"]


def test_multi_label_scores_do_not_depend_on_the_other_labels(classifier: EmbeddingClassifier) -> None:
    three = classifier.score([batch(*TEXTS, label_set=LabelSet.of("物流,退款,发票", multi_label=True))]).scores[0]
    one = classifier.score([batch(*TEXTS, label_set=LabelSet.of("退款"))]).scores[0]

    np.testing.assert_allclose(three[:, 1], one[:, 0], atol=2e-3)
    assert three[1].argmax() == 1
    assert 0 < one.min() < 0.5 < one.max() < 1


def test_a_template_changes_the_scores_and_nothing_else(classifier: EmbeddingClassifier) -> None:
    ranked = classifier.classify(TEXTS, "物流,退款,发票", template="这张工单是关于{}的")

    assert [ranking["labels"][0] for ranking in ranked] == ["物流", "退款", "发票"]
    assert ranked != classifier.classify(TEXTS, "物流,退款,发票")


def test_descriptions_and_examples_move_a_label(classifier: EmbeddingClassifier) -> None:
    text = "包装盒被压扁了"
    plain = LabelSet(labels=(Label(name="甲"), Label(name="乙")))
    told = LabelSet(labels=(Label(name="甲"), Label(name="乙", description="包装破损", examples=("箱子压坏了",) * 4)))

    before, after = classifier.score([batch(text, label_set=plain), batch(text, label_set=told)]).scores

    assert after[0, 1] > 0.9
    assert after[0, 1] > before[0, 1]


def test_batches_come_back_in_order_whatever_shares_their_pass(classifier: EmbeddingClassifier) -> None:
    batches = [
        batch(*TEXTS),
        batch(label_set=TOPICS),
        batch("今天大盘涨了", TEXTS[0], label_set=LabelSet.of("财经,物流", multi_label=True)),
        batch("a", "长" * 900, label_set=LabelSet.of("x")),
        batch(TEXTS[2], TEXTS[2], label_set=TOPICS),
    ]

    together = classifier.score(batches)

    assert [scores.shape for scores in together.scores] == [(3, 3), (0, 3), (2, 2), (2, 1), (2, 3)]
    for one, scores in zip(batches, together.scores, strict=True):
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, classifier.score([one]).scores[0], atol=5e-3)
    np.testing.assert_array_equal(together.scores[4][0], together.scores[0][2])


def test_each_text_is_run_once_however_often_it_comes(classifier: EmbeddingClassifier) -> None:
    stats = classifier.score([batch(*TEXTS * 50), batch(*TEXTS, label_set=LabelSet.of("甲,乙"))]).stats

    assert (stats.texts, stats.unique_texts, stats.unique_labels) == (153, 3, 5)
    assert stats.tokens == classifier.score([batch(*TEXTS), batch(label_set=LabelSet.of("甲,乙"))]).stats.tokens
    assert stats.padded_tokens >= stats.tokens
    assert stats.plan_s > 0
    assert stats.engine_s > 0


def test_nothing_to_do_is_fine(classifier: EmbeddingClassifier) -> None:
    assert classifier.score([]).scores == []
    assert classifier.classify([], "a,b") == []


def test_texts_over_the_length_are_cut_and_counted(classifier: EmbeddingClassifier) -> None:
    scored = classifier.score([batch("订单" * 5_000, "短")])

    assert scored.stats.truncated_texts == 1
    assert np.isfinite(scored.scores[0]).all()


@pytest.mark.parametrize("unit", ["订单", "a", "…", "㍿", "ﷺ"])
def test_it_tells_which_texts_are_cut(unit: str, classifier: EmbeddingClassifier) -> None:
    for repeats in range(20, 700, 40):
        text = unit * repeats
        assert classifier.truncates(text, batch(text).label_set) == (
            classifier.score([batch(text)]).stats.truncated_texts == 1
        )


def test_it_tells_which_batches_were_known(caching: EmbeddingClassifier) -> None:
    caching.score([batch("一", "二")])

    reuse = caching.score([batch("二"), batch("二", "三"), batch("一")]).reuse
    assert [(it.lookups, it.hits, it.complete) for it in reuse] == [(1, 1, True), (2, 1, False), (1, 1, True)]


@pytest.mark.parametrize("text", ["", " ", "\x00", "\ud800", "\u200b", "😀" * 3_000, "a" * 20_000])
def test_any_text_gets_a_score(text: str, classifier: EmbeddingClassifier) -> None:
    assert classifier.classify([text], "a,b")[0]["scores"][0] >= 0.5


def test_a_label_that_does_not_fit_is_refused_by_name(classifier: EmbeddingClassifier) -> None:
    rare = "\U0010fffd" * 200
    label_set = LabelSet(labels=(Label(name="ok"), Label(name=rare, description="\U0010fffd" * 600)))

    with pytest.raises(InvalidLabels, match=r"has 60. tokens") as caught:
        classifier.check(label_set)
    assert caught.value.context["label"] == rare
    with pytest.raises(InvalidLabels):
        classifier.plan([batch("x"), batch("y", label_set=label_set)])
    classifier.check(LabelSet.of("物流"))


def test_cached_labels_and_texts_are_not_run_again(caching: EmbeddingClassifier) -> None:
    first = caching.score([batch(*TEXTS)])
    second = caching.score([batch(*reversed(TEXTS), label_set=LabelSet.of("发票,物流"))])

    assert (first.stats.cached_labels, first.stats.cached_texts) == (0, 0)
    assert (second.stats.cached_labels, second.stats.cached_texts, second.stats.tokens) == (2, 3, 0)
    plain = caching.score([batch(*TEXTS)]).scores[0]
    np.testing.assert_array_equal(plain, first.scores[0])


def test_a_cached_value_of_the_wrong_shape_or_not_finite_is_a_miss(
    caching: EmbeddingClassifier, stores: Stores
) -> None:
    expected = caching.score([batch(*TEXTS)]).scores[0]
    for store in (stores.labels, stores.texts):
        assert isinstance(store, DictStore)
        spoiled = [np.zeros(3, np.float32), np.full(384, np.nan, np.float32), np.zeros((2, 384), np.float32)]
        store.kept = dict(zip(store.kept, spoiled, strict=True))

    scored = caching.score([batch(*TEXTS)])

    np.testing.assert_allclose(scored.scores[0], expected, atol=1e-4)
    assert scored.stats.cached_texts == scored.stats.cached_labels == 0


def test_a_plan_holds_what_it_found_even_if_the_cache_forgets(caching: EmbeddingClassifier, stores: Stores) -> None:
    expected = caching.score([batch(*TEXTS)]).scores[0]
    plan = caching.plan([batch(*TEXTS)])
    for store in (stores.labels, stores.texts):
        assert isinstance(store, DictStore)
        store.kept.clear()

    np.testing.assert_array_equal(caching.run(plan).scores[0], expected)


def test_keys_differ_by_precision_so_that_caches_never_mix(model_dir: Path, stores: Stores) -> None:
    for precision in ("int8", "fp32"):
        opened = open_classifier(model_dir=model_dir, precision=precision, stores=stores)
        assert opened.score([batch(*TEXTS)]).stats.cached_texts == 0
    assert isinstance(stores.texts, DictStore)
    assert len(stores.texts.kept) == 2 * len(TEXTS)


def test_an_engine_that_returns_nonsense_is_a_failure_and_nothing_is_kept(
    classifier: EmbeddingClassifier, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    caching = EmbeddingClassifier(classifier._encoder, classifier.info, classifier._spec, stores=stores)
    monkeypatch.setattr(classifier._encoder, "session", BrokenSession())

    with pytest.raises(EngineFailed, match="not finite"):
        caching.score([batch(*TEXTS)])
    assert isinstance(stores.texts, DictStore)
    assert not stores.texts.kept


def test_a_plan_of_another_classifier_is_refused(classifier: EmbeddingClassifier) -> None:
    with pytest.raises(TypeError):
        classifier.run(Plan(batches=()))


def test_planning_and_running_from_two_threads_gives_the_same_scores(classifier: EmbeddingClassifier) -> None:
    groups = [[batch(*(f"{text} {i}" for text in TEXTS for i in range(n)))] for n in (5, 9)]
    expected = [classifier.score(group).scores[0] for group in groups]
    start_line = threading.Barrier(2)

    def score(group: list[Batch]) -> np.ndarray:
        start_line.wait()
        return classifier.score(group).scores[0]

    with ThreadPoolExecutor(2) as pool:
        for left, right in zip(expected, pool.map(score, groups), strict=True):
            np.testing.assert_allclose(left, right, atol=1e-5)


def test_info_says_what_is_loaded(classifier: EmbeddingClassifier) -> None:
    info = classifier.info

    assert (info.name, info.kind, info.precision, info.session, info.device) == (
        "e5-small",
        "embedding",
        "int8",
        "openvino",
        "cpu",
    )
    assert (info.max_tokens, info.threads, len(info.fingerprint)) == (512, 2, 64)
    classifier.warm_up()


def test_int8_and_float32_agree_on_the_scores(model_dir: Path, classifier: EmbeddingClassifier) -> None:
    exact = open_classifier(model_dir=model_dir, precision="fp32")

    got, wanted = (each.score([batch(*TEXTS)]).scores[0] for each in (classifier, exact))

    assert got.argmax(axis=1).tolist() == wanted.argmax(axis=1).tolist()
    np.testing.assert_allclose(got, wanted, atol=0.1)


def test_embeddings_have_unit_length(classifier: EmbeddingClassifier) -> None:
    vectors = classifier.embed(TEXTS)

    assert vectors.shape == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert classifier.embed([]).shape == (0, 384)


def test_opening_what_is_not_there_says_so(model_dir: Path) -> None:
    with pytest.raises(UnknownModel):
        open_classifier("nope", model_dir=model_dir)
    with pytest.raises(EngineUnavailable):
        open_classifier(model_dir=model_dir, device="cuda")


def test_half_of_what_favours_a_label_whatever_the_text_is_taken_off(classifier: EmbeddingClassifier) -> None:
    spec = classifier._spec
    plain = EmbeddingClassifier(classifier._encoder, classifier.info, plainer(spec, ["background"]))
    with_it, without_it = (
        np.log(one.score([batch(*TEXTS)]).scores[0].astype(np.float64)) for one in (classifier, plain)
    )
    recipes = [name_strings(name, "{}", spec.phrasings, spec.label_prefix) for name in TOPICS.names]
    labels = np.stack([classifier._encoder.encode(list(strings)).mean(axis=0) for strings in recipes])
    labels /= np.linalg.norm(labels, axis=1, keepdims=True)
    usual = 0.5 * labels @ np.array(spec.background) / spec.calibration.temperature
    moved = without_it - with_it
    assert np.allclose(moved - moved.mean(axis=1, keepdims=True), usual - usual.mean(), atol=0.05)
    assert np.ptp(usual) > 0.1


def test_the_background_is_the_mean_of_ordinary_texts(classifier: EmbeddingClassifier) -> None:
    mean = classifier.embed(ordinary_texts()).mean(axis=0)
    background = np.array(classifier._spec.background)
    assert mean @ background / np.linalg.norm(mean) / np.linalg.norm(background) > 0.999


def test_labels_may_stay_bare(model_dir: Path) -> None:
    bare = open_classifier("e5-small", model_dir=model_dir, without=["phrasing", "background"])
    assert isinstance(bare, EmbeddingClassifier)
    cosines = bare.embed(TEXTS) @ bare.embed(TOPICS.names).T
    expected = bare._spec.calibration.exclusive(cosines)
    assert np.allclose(bare.score([batch(*TEXTS)]).scores[0], expected, atol=0.02)
