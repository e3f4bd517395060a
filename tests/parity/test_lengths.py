"""Texts and labels up to the model's length and over it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.parity.conftest import Sides
from yeban.errors import InvalidLabels
from yeban.labels import LabelSet

MOST_TOKENS = 512 - 3
"""Of text and hypothesis together: a pair has three special tokens."""

SENTENCE = "手机屏幕碎了怎么办退款三天没有收到货客服电话打不通"


def _characters(count: int) -> str:
    """So many different-looking characters, one token each."""
    return (SENTENCE * (count // len(SENTENCE) + 1))[:count]


def test_a_character_is_a_token(sides: Sides) -> None:
    assert sides.theirs.token_counts([_characters(509), _characters(100)]) == [509, 100]


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("over", [-1, 0, 1, 2, 100, 1_500])
def test_texts_about_the_longest(sides: Sides, over: int, multi_label: bool) -> None:
    labels = ["旅游", "科技"]
    text = _characters(MOST_TOKENS - 2 + over)

    sides.agree([text], labels, multi_label=multi_label)


def test_the_last_token_that_fits_counts_and_the_next_does_not(sides: Sides) -> None:
    labels = ["旅游", "科技"]
    whole = _characters(MOST_TOKENS - 2)

    [found] = sides.ours.classify([whole], labels)

    assert sides.ours.classify([whole + "坏"], labels) == [found]
    assert sides.ours.classify([whole[:-1] + "坏"], labels) != [found]
    assert not sides.ours.truncates(whole, LabelSet.of(labels))
    assert sides.ours.truncates(whole + "坏", LabelSet.of(labels))


def test_each_label_leaves_the_text_its_own_room(sides: Sides) -> None:
    labels = ["旅", "旅游科技", _characters(50), _characters(199)]

    sides.agree([_characters(length) for length in (10, 300, 330, 460, 505, 508, 900)], labels, template="关于{}")


@pytest.mark.parametrize("label_length", [100, 199, 200])
@pytest.mark.parametrize("text_length", [0, 1, 255, 309, 310, 600])
def test_long_labels(sides: Sides, text_length: int, label_length: int) -> None:
    sides.agree([_characters(text_length)], [_characters(label_length), "旅游", "科技"], multi_label=True)


@pytest.mark.parametrize("text_length", [0, 100, 255, 600])
def test_the_longest_hypothesis_that_modelscope_leaves_whole(sides: Sides, text_length: int) -> None:
    template = _characters(54) + "{}"

    sides.agree([_characters(text_length)], [_characters(200), "旅游"], template=template)


def test_a_longer_hypothesis_is_refused_where_modelscope_cuts_it(sides: Sides) -> None:
    # ModelScope asks its tokeniser for "only_first", which never reaches it: what is longer loses tokens, so of a
    # hypothesis over 254 tokens the end goes without a word, and with it what tells labels apart.
    template = _characters(100) + "{}"
    labels = [_characters(200), _characters(198) + "坏了"]

    [cut] = sides.theirs.classify([_characters(600)], labels, template=template)

    assert cut["scores"][0] == cut["scores"][1]
    with pytest.raises(InvalidLabels, match="300 tokens"):
        sides.ours.classify([_characters(600)], labels, template=template)


def test_a_checkpoint_with_fewer_positions(make_sides: Callable[..., Sides]) -> None:
    sides = make_sides(positions=64, seed=3)
    labels = ["旅游", "科技"]
    longest = _characters(64 - 3 - 2)

    [expected] = sides.agree([longest], labels)

    assert sides.ours.classify([longest + "坏了"], labels) == [expected]
    with pytest.raises(InvalidLabels, match="旅旅旅"):
        sides.ours.classify(["手机"], ["旅" * 100, "科技"])
