from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from worker.engine.nli import hypotheses
from worker.engine.nli.hypotheses import Hypotheses, digest
from worker.engine.tokenisers.pairs import PairTokeniser
from yeban.errors import InvalidLabels
from yeban.labels import LabelSet


class Counting:
    """A tokeniser that remembers what it was asked for."""

    def __init__(self, tokeniser: PairTokeniser) -> None:
        self._tokeniser = tokeniser
        self.asked: list[tuple[str, ...]] = []

    def encode(self, strings: Sequence[str]) -> list[list[int]]:
        self.asked.append(tuple(strings))
        return self._tokeniser.encode(strings)

    def room(self, ids: Sequence[int]) -> int:
        return self._tokeniser.room(ids)


def test_labels_are_tokenised_in_their_template_once(tokeniser: PairTokeniser) -> None:
    counting = Counting(tokeniser)
    known = Hypotheses(counting)  # type: ignore[arg-type]

    first = known.of(LabelSet.of("旅游,科技", template="关于{}的"))
    again = known.of(LabelSet.of("旅游,科技", template="关于{}的"))

    assert first is again
    assert counting.asked == [("关于旅游的", "关于科技的")]
    assert [list(hypothesis.ids) for hypothesis in first] == tokeniser.encode(["关于旅游的", "关于科技的"])


def test_what_a_hypothesis_is_does_not_depend_on_its_label_set(tokeniser: PairTokeniser) -> None:
    known = Hypotheses(tokeniser)

    one, two = known.of(LabelSet.of("旅游,科技"))
    assert known.of(LabelSet.of("科技,旅游", multi_label=True)) == (two, one)
    assert known.of(LabelSet.of("游", template="旅{}")) == (one,)


def test_those_used_last_are_kept(tokeniser: PairTokeniser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hypotheses, "_MAX_LABEL_SETS", 2)
    counting = Counting(tokeniser)
    known = Hypotheses(counting)  # type: ignore[arg-type]
    for names in ("a", "b", "a", "c", "a", "b"):
        known.of(LabelSet.of(names))

    assert counting.asked == [("a",), ("b",), ("c",), ("b",)]


def test_the_longest_label_that_leaves_half_of_the_room_to_the_text(tokeniser: PairTokeniser) -> None:
    assert tokeniser.max_tokens == 512
    half = LabelSet.of(["一", "的" * 127], template="的" * 127 + "{}")

    assert [len(hypothesis.ids) for hypothesis in Hypotheses(tokeniser).of(half)] == [128, 254]


def test_a_label_that_is_too_long_is_named(tokeniser: PairTokeniser) -> None:
    long = "的" * 128
    label_set = LabelSet.of(["一", long], template="的" * 127 + "{}")

    with pytest.raises(InvalidLabels, match=r"has 255 tokens; the limit is 254") as caught:
        Hypotheses(tokeniser).of(label_set)
    assert caught.value.context == {"label": long, "limit": 254}
    assert long[:40] in caught.value.detail


def test_many_threads_get_the_same(tokeniser: PairTokeniser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hypotheses, "_MAX_LABEL_SETS", 3)
    known = Hypotheses(tokeniser)
    sets = [LabelSet.of(f"甲{number},乙") for number in range(8)]
    expected = [Hypotheses(tokeniser).of(label_set) for label_set in sets]
    start_line = threading.Barrier(4)

    def ask(_: int) -> list[object]:
        start_line.wait()
        return [known.of(label_set) for _ in range(20) for label_set in sets]

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(ask, range(4)):
            assert found == expected * 20


def test_digests_tell_strings_apart_even_broken_ones() -> None:
    strings = ["", " ", "a", "A", "\ud800", "\udfff", "\x00", "é", "e\u0301"]

    assert len({digest(string) for string in strings}) == len(strings)
    assert {len(digest(string)) for string in strings} == {16}
