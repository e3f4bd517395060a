from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.engine.nli.blocks import cut
from worker.engine.tokenisers.pairs import Pair

PAD = 77


@st.composite
def pairs(draw: st.DrawFn) -> Pair:
    length = draw(st.integers(3, 60))
    ids = draw(st.lists(st.integers(1, 70), min_size=length, max_size=length))
    return Pair(ids, draw(st.integers(2, length - 1)), False)


@settings(deadline=None)
@given(st.lists(pairs(), max_size=30), st.integers(1, 300))
def test_every_pair_is_in_one_block_whole_and_padded(given_pairs: list[Pair], budget: int) -> None:
    blocks = cut(given_pairs, pad=PAD, max_block_tokens=budget)

    assert sorted(row for block in blocks for row in block.rows) == list(range(len(given_pairs)))
    for block in blocks:
        ids, mask, types = (block.inputs[name] for name in ("input_ids", "attention_mask", "token_type_ids"))
        assert {ids.dtype, mask.dtype, types.dtype} == {np.dtype(np.int64)}
        assert block.padded_tokens == ids.size
        assert ids.size <= budget or len(block.rows) == 1
        for at, row in enumerate(block.rows):
            pair = given_pairs[row]
            end = len(pair.input_ids)
            assert ids[at].tolist() == pair.input_ids + [PAD] * (ids.shape[1] - end)
            assert mask[at].tolist() == [1] * end + [0] * (ids.shape[1] - end)
            assert types[at].tolist() == pair.token_type_ids + [0] * (ids.shape[1] - end)


def test_pairs_of_one_length_need_no_padding() -> None:
    given_pairs = [Pair([1] * length, 2, False) for length in (5, 9, 5, 9, 5)]

    blocks = cut(given_pairs, pad=PAD, max_block_tokens=18)

    assert [block.rows.tolist() for block in blocks] == [[1, 3], [0, 2, 4]]
    assert all(block.inputs["attention_mask"].all() for block in blocks)
