from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.fixtures.dict_store import DictStore
from tests.fixtures.models import NLI_NAME
from worker.engine import Batch, Plan, Stores, open_classifier
from worker.engine.classifier import ModelInfo
from worker.engine.manifest import NliSpec
from worker.engine.nli.classifier import NliClassifier
from worker.engine.sessions import Inputs, Progress, Session
from worker.engine.sessions.base import nothing
from worker.engine.stores import VectorStore
from worker.engine.tokenisers.pairs import PairTokeniser
from yeban.errors import EngineFailed, InvalidLabels
from yeban.labels import Label, LabelSet

TEXTS = (
    "世界那么大，我想去看看",
    "手机屏幕碎了，开机没有反应",
    "退款",
    "wifi error, login bug",
    "快递三天没有收到，客服电话打不通，请帮忙查订单号",
)
TOLERANCE = 1e-5
"""Of a score in float32: kernels differ in the last digits by the shape of a call."""

LABELS = LabelSet.of("家居,旅游,科技,军事,游戏")


def batch(*texts: str, label_set: LabelSet = LABELS) -> Batch:
    return Batch(texts=texts, label_set=label_set)


class Counting(Session):
    """Another session that counts its calls and the rows in them."""

    name = "counting"

    def __init__(self, session: Session) -> None:
        self._session = session
        self.device = session.device
        self.threads = session.threads
        self.block_tokens = session.block_tokens
        self.calls: list[Inputs] = []

    @property
    def rows(self) -> int:
        return sum(len(call["input_ids"]) for call in self.calls)

    def run(self, calls: Sequence[Inputs], *, progress: Progress = nothing) -> list[NDArray[np.float32]]:
        self.calls += calls
        return self._session.run(calls, progress=progress)


class Broken(Counting):
    def run(self, calls: Sequence[Inputs], *, progress: Progress = nothing) -> list[NDArray[np.float32]]:
        outputs = super().run(calls, progress=progress)
        outputs[-1][-1, 1] = np.nan
        return outputs


class Caching:
    """Classifiers over one counting session, with caches or without."""

    def __init__(self, opened: NliClassifier) -> None:
        self.opened = opened
        self.session = Counting(opened._session)

    def __call__(
        self, store: VectorStore | None = None, engine: Session | None = None, **changed: Any
    ) -> NliClassifier:
        stores = Stores() if store is None else Stores(pairs=store)
        info = dataclasses.replace(self.opened.info, **changed)
        return NliClassifier(self.opened._tokeniser, engine or self.session, info, self.opened._spec, stores=stores)


def open_nli(model_dir: Path, **options: Any) -> NliClassifier:
    opened = open_classifier(NLI_NAME, model_dir=model_dir, threads=2, **options)
    assert isinstance(opened, NliClassifier)
    return opened


@pytest.fixture(scope="session")
def exact(nli_model_dir: Path) -> NliClassifier:
    return open_nli(nli_model_dir, precision="fp32")


@pytest.fixture(scope="session", params=["int8-openvino", "int8-onnxruntime", "fp32-openvino", "fp32-onnxruntime"])
def any_classifier(request: pytest.FixtureRequest, nli_model_dir: Path) -> NliClassifier:
    precision, session = request.param.split("-")
    return open_nli(nli_model_dir, precision=precision, session=session)


@pytest.fixture
def make(exact: NliClassifier) -> Caching:
    return Caching(exact)


def entailment_logits(classifier: NliClassifier, texts: Sequence[str], label_set: LabelSet) -> NDArray[np.float32]:
    """``(n_texts, n_labels, 3)``, of pairs that are run one by one."""
    tokeniser, spec = classifier._tokeniser, classifier._spec
    rows = []
    for text in texts:
        for hypothesis in label_set.hypotheses:
            text_ids, hypothesis_ids = tokeniser.encode([text, hypothesis])
            pair = tokeniser.frame(text_ids, hypothesis_ids)
            inputs = {
                "input_ids": [pair.input_ids],
                "attention_mask": [[1] * len(pair.input_ids)],
                "token_type_ids": [pair.token_type_ids],
            }
            call = {name: np.array(values, np.int64) for name, values in inputs.items()}
            rows.append(classifier._session.run([call])[0][0])
    return np.array(rows, np.float32).reshape(len(texts), len(label_set), spec.classes)


def softmax(values: Sequence[float]) -> list[float]:
    raised = [math.exp(value - max(values)) for value in values]
    return [value / sum(raised) for value in raised]


def test_one_label_of_many_is_a_softmax_over_entailment(exact: NliClassifier) -> None:
    scores = exact.score([batch(*TEXTS)]).scores[0]

    logits = entailment_logits(exact, TEXTS, LABELS)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, [softmax(list(row[:, 0])) for row in logits], atol=1e-5)


@pytest.mark.parametrize(
    "label_set",
    [LabelSet.of("家居,旅游,科技", multi_label=True), LabelSet.of("旅游"), LabelSet.of("旅", multi_label=True)],
)
def test_labels_for_themselves_are_a_softmax_over_contradiction_and_entailment(
    label_set: LabelSet, exact: NliClassifier
) -> None:
    scores = exact.score([batch(*TEXTS, label_set=label_set)]).scores[0]

    logits = entailment_logits(exact, TEXTS, label_set)
    expected = [[softmax([label[2], label[0]])[1] for label in row] for row in logits]
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_a_template_makes_the_hypothesis(exact: NliClassifier) -> None:
    told = LabelSet.of("旅游,科技", template="这是关于{}的新闻")

    scores = exact.score([batch(*TEXTS, label_set=told)]).scores[0]

    expected = [softmax(list(row[:, 0])) for row in entailment_logits(exact, TEXTS, told)]
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert np.abs(scores - exact.score([batch(*TEXTS, label_set=LabelSet.of("旅游,科技"))]).scores[0]).max() > 0.01


def test_descriptions_and_examples_are_not_read(exact: NliClassifier) -> None:
    told = LabelSet(labels=(Label(name="旅游", description="出去看看", examples=("去",)), Label(name="科技")))

    scores = exact.score([batch(*TEXTS, label_set=told), batch(*TEXTS, label_set=LabelSet.of("旅游,科技"))]).scores

    np.testing.assert_array_equal(*scores)


@settings(max_examples=25, deadline=None)
@given(
    order=st.permutations(range(5)), texts=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=9), multi=st.booleans()
)
def test_order_and_duplicates_change_no_score(
    order: list[int], texts: list[str], multi: bool, exact: NliClassifier
) -> None:
    plain = LabelSet.of(LABELS.names, multi_label=multi)
    mixed = LabelSet.of([LABELS.names[at] for at in order], multi_label=multi)

    whole, scores = exact.score([batch(*TEXTS, label_set=plain), batch(*texts, label_set=mixed)]).scores
    alone = exact.score([batch(*texts, label_set=mixed)]).scores[0]

    np.testing.assert_allclose(scores, whole[[TEXTS.index(text) for text in texts]][:, order], atol=1e-6)
    np.testing.assert_allclose(alone, scores, atol=TOLERANCE)


def test_a_subset_of_labels_for_themselves_keeps_their_scores(exact: NliClassifier) -> None:
    five = exact.score([batch(*TEXTS, label_set=LabelSet.of(LABELS.names, multi_label=True))]).scores[0]
    two = exact.score([batch(*TEXTS, label_set=LabelSet.of("科技,家居", multi_label=True))]).scores[0]

    np.testing.assert_allclose(two, five[:, [2, 0]], atol=TOLERANCE)


def test_batches_come_back_in_order_as_if_each_had_been_alone(any_classifier: NliClassifier) -> None:
    batches = [
        batch(*TEXTS),
        batch(label_set=LabelSet.of("空")),
        batch("今天", TEXTS[0], label_set=LabelSet.of("财经,科技", multi_label=True)),
        batch("a", "的" * 900, label_set=LabelSet.of("x")),
        batch(TEXTS[2], TEXTS[2]),
    ]

    together = any_classifier.score(batches)

    assert [scores.shape for scores in together.scores] == [(5, 5), (0, 1), (2, 2), (2, 1), (2, 5)]
    # In int8 a last digit may tip the rounding of an activation.
    tolerance = TOLERANCE if any_classifier.info.precision == "fp32" else 1e-3
    for one, scores in zip(batches, together.scores, strict=True):
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, any_classifier.score([one]).scores[0], atol=tolerance)
    np.testing.assert_array_equal(together.scores[4][0], together.scores[0][2])


def test_the_same_work_gives_the_same_bits(any_classifier: NliClassifier) -> None:
    first, second = (any_classifier.score([batch(*TEXTS)]).scores[0] for _ in range(2))

    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("text", ["", "   ", "\u3000", "\x00", "\ud800", "\u200b", "😀" * 3_000, "a" * 20_000, "[SEP]"])
def test_any_text_gets_scores(text: str, exact: NliClassifier) -> None:
    scores = exact.score([batch(text)]).scores[0]

    assert np.isfinite(scores).all()
    assert scores.sum() == pytest.approx(1, abs=1e-5)


def test_blank_texts_score_alike(exact: NliClassifier) -> None:
    scores = exact.score([batch("", "  ", "\u3000")]).scores[0]

    np.testing.assert_allclose(scores[1:], scores[[0, 0]], atol=1e-6)


def test_nothing_to_do_is_fine(exact: NliClassifier) -> None:
    assert exact.score([]).scores == []
    assert exact.classify([], "a,b") == []
    assert exact.score([batch()]).reuse[0].complete


def test_of_a_long_text_the_end_is_left_out_and_of_its_labels_nothing(make: Caching, tokeniser: PairTokeniser) -> None:
    labels = LabelSet.of(["旅游", "的" * 200])
    long = "世界那么大" * 200

    scored = make().score([batch(long, "短", label_set=labels)])

    assert scored.stats.truncated_texts == 1
    wanted = [tokeniser.encode([name])[0] for name in labels.names]
    rows = [row for call in make.session.calls for row in zip(call["input_ids"], call["attention_mask"], strict=True)]
    full = [ids.tolist() for ids, mask in rows if mask.sum() == 512]
    assert len(full) == 2
    ends = [ids[ids.index(tokeniser._separator) + 1 : -1] for ids in full]
    assert sorted(ends, key=len) == wanted


def test_what_is_left_out_does_not_matter(exact: NliClassifier) -> None:
    long = "世界那么大" * 200
    scores = exact.score([batch(long, long[:600] + "退款" * 50, long[:511])]).scores[0]

    np.testing.assert_allclose(scores[1:], scores[[0, 0]], atol=1e-6)


@pytest.mark.parametrize("unit", ["世", "a ", "refund ", "…", "한", "[MASK]"])
def test_it_tells_which_texts_are_cut(unit: str, exact: NliClassifier, tokeniser: PairTokeniser) -> None:
    one_token = LabelSet.of("的")
    for repeats in (1, 60, 150, 180, 300, 507, 508, 509, 510, 700):
        text = unit * repeats
        assert exact.truncates(text, one_token) == (len(tokeniser.encode([text])[0]) > 508)


@pytest.mark.parametrize("names", [["的"], ["的", "的" * 100], ["的" * 100, "的" * 50]])
def test_texts_that_it_says_are_cut_are_counted(names: list[str], exact: NliClassifier) -> None:
    label_set = LabelSet.of(names)
    texts = ["世" * length for length in (100, 409, 410, 508, 509, 600)]

    truncated = exact.score([batch(*texts, label_set=label_set)]).stats.truncated_texts

    assert truncated == sum(exact.truncates(text, label_set) for text in texts)
    assert truncated == (2 if names == ["的"] else 4)


def test_a_label_that_does_not_fit_is_refused_by_name(exact: NliClassifier) -> None:
    long = "的" * 128
    label_set = LabelSet.of(["旅游", long], template="的" * 127 + "{}")

    with pytest.raises(InvalidLabels, match="has 255 tokens") as caught:
        exact.check(label_set)
    assert caught.value.context["label"] == long
    with pytest.raises(InvalidLabels):
        exact.plan([batch("x"), batch("y", label_set=label_set)])
    exact.check(LABELS)


def test_known_pairs_need_no_engine(make: Caching, store: DictStore) -> None:
    classifier = make(store)
    first = classifier.score([batch(*TEXTS)])
    calls = len(make.session.calls)

    second = classifier.score([batch(*TEXTS)])

    assert len(make.session.calls) == calls > 0
    np.testing.assert_array_equal(first.scores[0], second.scores[0])
    assert [(each.lookups, each.hits, each.complete) for each in first.reuse + second.reuse] == [
        (25, 0, False),
        (25, 25, True),
    ]
    assert (second.stats.cached_pairs, second.stats.cached_texts, second.stats.tokens) == (25, 5, 0)


@pytest.mark.parametrize(
    "label_set",
    [
        LabelSet.of(reversed(LABELS.names)),
        LabelSet.of(LABELS.names[1:4]),
        LabelSet.of(LABELS.names, multi_label=True),
        LabelSet.of(LABELS.names, threshold=0.9),
        LabelSet.of(LABELS.names[2]),
        LabelSet.of(["居", "具"], template="家{}"),
    ],
)
def test_other_ways_to_ask_for_known_labels_hit_the_cache(label_set: LabelSet, make: Caching, store: DictStore) -> None:
    expected = make().score([batch(*TEXTS, label_set=label_set)]).scores[0]
    classifier = make(store)
    classifier.score([batch(*TEXTS, label_set=LabelSet.of([*LABELS.names, "家具"]))])
    calls = len(make.session.calls)

    scored = classifier.score([batch(*reversed(TEXTS), label_set=label_set)])

    assert len(make.session.calls) == calls
    assert scored.reuse[0].complete
    np.testing.assert_allclose(scored.scores[0], expected[::-1], atol=TOLERANCE)


@pytest.mark.parametrize(
    "changed",
    [{"precision": "int8"}, {"fingerprint": "0" * 64}, {"session": "onnxruntime"}, {"device": "cuda"}],
)
def test_another_model_precision_or_engine_does_not(changed: dict[str, str], make: Caching, store: DictStore) -> None:
    make(store).score([batch(*TEXTS)])

    assert make(store, **changed).score([batch(*TEXTS)]).stats.cached_pairs == 0
    assert len(store.kept) == 50


def test_another_template_length_or_text_does_not(make: Caching, store: DictStore, exact: NliClassifier) -> None:
    make(store).score([batch("退款")])
    other = NliClassifier(
        exact._tokeniser,
        make.session,
        exact.info,
        dataclasses.replace(exact._spec, max_tokens=256),
        stores=Stores(pairs=store),
    )

    told = LabelSet.of(LABELS.names, template="关于{}")
    assert make(store).score([batch("退款", label_set=told)]).stats.cached_pairs == 0
    assert make(store).score([batch("退款 ")]).stats.cached_pairs == 0
    assert other.score([batch("退款")]).stats.cached_pairs == 0


def test_only_what_is_missing_is_run_and_each_pair_once(make: Caching, store: DictStore) -> None:
    classifier = make(store)
    classifier.score([batch(TEXTS[0], TEXTS[1], label_set=LabelSet.of("旅游,科技"))])
    make.session.calls.clear()

    scored = classifier.score(
        [batch(*TEXTS[:3] * 4, label_set=LabelSet.of("旅游,家居")), batch(TEXTS[0], label_set=LabelSet.of("科技"))]
    )

    # Missing: 家居 for three texts, 旅游 for the third.
    assert make.session.rows == 4
    assert [(each.lookups, each.hits) for each in scored.reuse] == [(24, 8), (1, 1)]
    stats = scored.stats
    assert (stats.texts, stats.unique_texts, stats.cached_texts, stats.unique_labels) == (13, 3, 0, 3)
    assert (stats.unique_pairs, stats.cached_pairs) == (7, 3)
    assert stats.tokens == sum(int(call["attention_mask"].sum()) for call in make.session.calls)
    assert stats.padded_tokens == sum(call["input_ids"].size for call in make.session.calls)
    assert min(stats.plan_s, stats.engine_s) > 0
    expected = make().score([batch(*TEXTS[:3], label_set=LabelSet.of("旅游,家居"))]).scores[0]
    np.testing.assert_allclose(scored.scores[0], np.tile(expected, (4, 1)), atol=TOLERANCE)


@pytest.mark.parametrize(
    "garbage",
    [
        np.zeros(4, np.float32),
        np.zeros((1, 3), np.float32),
        np.zeros(0, np.float32),
        np.array([0, np.nan, 0], np.float32),
        np.array([np.inf, 0, 0], np.float32),
    ],
)
def test_a_cached_value_that_makes_no_sense_is_a_miss(
    garbage: NDArray[np.float32], make: Caching, store: DictStore
) -> None:
    classifier = make(store)
    expected = classifier.score([batch(*TEXTS)]).scores[0]
    store.kept = dict.fromkeys(store.kept, garbage)

    scored = classifier.score([batch(*TEXTS)])

    np.testing.assert_array_equal(scored.scores[0], expected)
    assert scored.stats.cached_pairs == 0
    assert all(value.shape == (3,) and np.isfinite(value).all() for value in store.kept.values())


def test_a_plan_holds_what_it_found_even_if_the_cache_forgets(make: Caching, store: DictStore) -> None:
    classifier = make(store)
    expected = classifier.score([batch(*TEXTS)]).scores[0]
    plan = classifier.plan([batch(*TEXTS)])
    store.kept.clear()

    np.testing.assert_array_equal(classifier.run(plan).scores[0], expected)
    # Nor is it written again.
    assert not store.kept


def test_a_plan_may_be_run_again(make: Caching, store: DictStore) -> None:
    classifier = make(store)
    plan = classifier.plan([batch(*TEXTS)])
    before = plan.logits.copy()

    np.testing.assert_array_equal(classifier.run(plan).scores[0], classifier.run(plan).scores[0])
    np.testing.assert_array_equal(plan.logits, before)


def test_an_engine_that_returns_nonsense_is_a_failure_and_nothing_is_kept(make: Caching, store: DictStore) -> None:
    classifier = make(store, Broken(make.opened._session))

    with pytest.raises(EngineFailed, match="counting returned logits that are not finite"):
        classifier.score([batch(*TEXTS)])
    assert not store.kept


def test_progress_is_told_once_a_block(make: Caching) -> None:
    classifier = make()
    plan = classifier.plan([batch(*TEXTS, *("快递" * length for length in range(1, 60)))])
    told: list[int] = []

    classifier.run(plan, progress=lambda: told.append(len(told)))

    assert len(told) == len(plan.blocks) == len(make.session.calls) > 5
    assert all(block.padded_tokens <= make.session.block_tokens for block in plan.blocks)


def test_planning_does_not_touch_the_engine(make: Caching, store: DictStore) -> None:
    make(store).plan([batch(*TEXTS)])

    assert not make.session.calls
    assert not store.kept


@pytest.mark.parametrize(
    "texts",
    [
        ("世界那么大，我想去看看" * 3, "退款", "手机屏幕碎了"),
        ("login error refund iphone wifi login refund " * 5, "app error"),
        ("的" * 2_000, "的"),
        ("",),
    ],
)
@pytest.mark.parametrize("labels", ["旅游", "家居,旅游,科技,军事,游戏", "refund,login error"])
def test_the_weight_is_about_the_number_of_tokens(texts: tuple[str, ...], labels: str, exact: NliClassifier) -> None:
    one = batch(*texts, label_set=LabelSet.of(labels))

    assert 0.5 < exact.weight(one) / exact.score([one]).stats.tokens < 2


def test_weight_of_nothing_is_nothing(exact: NliClassifier) -> None:
    assert exact.weight(batch()) == 0
    assert exact.weight(batch("\ud800")) > 0


def test_warming_up_runs_several_shapes_and_keeps_nothing(make: Caching, store: DictStore) -> None:
    make(store).warm_up()

    assert len({call["input_ids"].shape for call in make.session.calls}) >= 4
    assert not store.kept


def test_a_plan_of_another_classifier_is_refused(exact: NliClassifier) -> None:
    with pytest.raises(TypeError):
        exact.run(Plan(batches=()))


def test_planning_and_running_from_many_threads_gives_the_same_scores(make: Caching, store: DictStore) -> None:
    classifier = make(store)
    groups = [[batch(*(f"{text}{number}" for text in TEXTS))] for number in (0, 1, 0, 2)]
    expected = [make().score(group).scores[0] for group in groups]
    start_line = threading.Barrier(4)

    def score(group: list[Batch]) -> NDArray[np.float32]:
        start_line.wait()
        return classifier.score(group).scores[0]

    with ThreadPoolExecutor(4) as pool:
        for left, right in zip(expected, pool.map(score, groups), strict=True):
            np.testing.assert_allclose(left, right, atol=1e-5)


def test_int8_and_float32_are_near(nli_model_dir: Path, exact: NliClassifier) -> None:
    got, wanted = (each.score([batch(*TEXTS)]).scores[0] for each in (open_nli(nli_model_dir), exact))

    assert np.abs(got - wanted).mean() < 0.05


def test_info_says_what_is_loaded(nli_model_dir: Path, spec: NliSpec) -> None:
    info: ModelInfo = open_nli(nli_model_dir).info

    assert (info.name, info.kind, info.precision, info.session) == (NLI_NAME, "nli", "int8", "openvino")
    assert (info.max_tokens, info.threads, len(info.fingerprint)) == (spec.max_tokens, 2, 64)


def test_labels_may_be_one_string_and_are_ranked(exact: NliClassifier) -> None:
    (ranking,) = exact.classify([TEXTS[0]], "家居, 旅游，,科技")

    assert sorted(ranking["labels"]) == sorted(["家居", "旅游", "科技"])
    assert ranking["scores"] == sorted(ranking["scores"], reverse=True)
