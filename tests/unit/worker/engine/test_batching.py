from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from worker.engine.batching import cut


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(1, 200))
def test_every_row_comes_back_once_and_within_the_budget(lengths: list[int], budget: int) -> None:
    rows = [[i + 10] * length for i, length in enumerate(lengths)]

    blocks = cut(rows, pad=1, max_block_tokens=budget)

    assert sorted(int(i) for block in blocks for i in block.rows) == list(range(len(rows)))
    for block in blocks:
        assert len(block.rows) == 1 or block.input_ids.size <= budget
        assert block.attention_mask.max(axis=0).all(), "a column of padding only"
        for at, row in enumerate(block.rows):
            length = lengths[row]
            assert block.input_ids[at].tolist() == [row + 10] * length + [1] * (block.input_ids.shape[1] - length)
            assert block.attention_mask[at].sum() == length


def test_the_longest_rows_come_first() -> None:
    blocks = cut([[5] * n for n in (1, 9, 3, 9)], pad=1, max_block_tokens=18)

    assert [block.input_ids.shape for block in blocks] == [(2, 9), (2, 3)]
    assert blocks[0].inputs.keys() == {"input_ids", "attention_mask"}
    assert blocks[0].input_ids.dtype == np.int64
