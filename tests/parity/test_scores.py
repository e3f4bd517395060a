"""Scores and orders over many texts, label sets and templates."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fixtures.structbert import default_vocab
from tests.parity.comparing import TOLERANCE, assert_same, by_label
from tests.parity.conftest import Sides

LABELS = "家居,旅游,科技,军事,游戏,故事"
TICKETS = [
    "世界那么大，我想去看看",
    "退款三天了还没有收到，客服电话打不通，请帮忙查订单号 20391。",
    "手机屏幕碎了怎么办？",
    "iPhone WIFI error: login refund app bug!",
    "空调漏水，房间太吵；要求换房！",
    "表扬",
]
ODD_TEXTS = {
    "empty": "",
    "spaces and line ends": "  \n\t\r ",
    "wide space": "\u3000",
    "punctuation alone": "，。！？…—",
    "capitals and accents": "ÁBC Ñandú É e\u0301 APP",
    "full-width letters": "ＡＢＣ１２３",
    "one word of a hundred letters": "x" * 100,
    "a word over a hundred letters": "x" * 101,
    "characters outside the vocabulary": "囧烎鑫𠮷",
    "emoji": "手机😀👍🏽坏了",
    "other scripts": "テスト 한국어 привет שלום",
    "control and zero-width characters": "a\x07b\u200bc\ufffdd\ufeff手机",
    "special tokens": "手机[SEP]开机[MASK][UNK] [CLS]x[PAD]",
    "special tokens in small letters": "手机[sep]开机[mask]",
    "braces": "{}{0}{{label}}",
    "one character": "好",
}
TEMPLATES = ["{}", "这是一个关于{}的文章", "This is about {}.", "，{}，", "文章标题：《{}》新闻"]


def test_the_checkpoint_tells_labels_apart(sides: Sides) -> None:
    scores = [by_label(ranking) for ranking in sides.theirs.classify(TICKETS, LABELS)]

    spreads = [max(row.values()) - min(row.values()) for row in scores]
    changes = [abs(row[label] - other[label]) for row in scores for other in scores for label in row if other != row]
    assert min(spreads) > 1_000 * TOLERANCE
    assert statistics.median(changes) > 300 * TOLERANCE


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("template", TEMPLATES)
def test_tickets(sides: Sides, template: str, multi_label: bool) -> None:
    sides.agree(TICKETS, LABELS, template=template, multi_label=multi_label)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
def test_odd_texts(sides: Sides, text: str, multi_label: bool) -> None:
    sides.agree([text], LABELS, template="关于{}", multi_label=multi_label)


def test_odd_texts_as_labels(sides: Sides) -> None:
    labels = [text.strip() for text in ODD_TEXTS.values() if text.strip()]

    sides.agree(["手机屏幕碎了", *TICKETS], labels, multi_label=True)


def test_texts_without_a_token_get_the_same_scores(sides: Sides) -> None:
    found = sides.agree(["", " ", "\n\t", "\u3000", "\u200b"], LABELS)

    assert_same(found[1:], found[:1] * 4, tolerance=1e-6)


def test_a_text_given_twice_gets_the_same_scores(sides: Sides) -> None:
    texts = [TICKETS[0], TICKETS[1], TICKETS[0], TICKETS[0], TICKETS[1]]

    found = sides.agree(texts, LABELS)

    assert found[0] == found[2] == found[3]
    assert found[1] == found[4]


def test_texts_of_mixed_lengths_together_equal_one_by_one(sides: Sides) -> None:
    texts = [*TICKETS, *ODD_TEXTS.values(), "手机坏了，" * 60, "好" * 600]

    together = sides.agree(texts, LABELS)

    assert_same(together, [sides.ours.classify([text], LABELS)[0] for text in texts], tolerance=1e-5)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    text=st.lists(st.sampled_from([*default_vocab(), " ", "，", "囧", "É"]), max_size=40).map("".join),
    labels=st.lists(
        st.text(alphabet="家居旅游科技军事abcXYZ 1", min_size=1, max_size=8).map(str.strip).filter(bool),
        min_size=1,
        max_size=5,
        unique=True,
    ),
    template=st.sampled_from(TEMPLATES),
    multi_label=st.booleans(),
)
def test_any_text_and_labels(sides: Sides, text: str, labels: list[str], template: str, multi_label: bool) -> None:
    sides.agree([text], labels, template=template, multi_label=multi_label)
