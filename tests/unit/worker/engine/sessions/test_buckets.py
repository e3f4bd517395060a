from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engine.sessions.buckets import Recent, Shape, bucket, pad


@given(rows=st.integers(1, 5_000), tokens=st.integers(1, 512))
def test_a_bucket_holds_the_call_and_never_more_than_the_model(rows: int, tokens: int) -> None:
    wide, long = bucket(rows, tokens, max_tokens=512)

    assert rows <= wide < 2 * rows or wide == rows == 1
    assert tokens <= long <= min(tokens + 63, 512)


@pytest.mark.parametrize(
    ("call", "shape"),
    [((1, 5), (1, 16)), ((3, 17), (4, 32)), ((8, 64), (8, 64)), ((9, 65), (16, 128)), ((1, 500), (1, 500))],
)
def test_buckets_are_few(call: Shape, shape: Shape) -> None:
    assert bucket(*call, max_tokens=500) == shape


def test_padding_is_masked_but_for_one_token_of_a_row_that_is_only_padding() -> None:
    ones = np.ones((2, 3), np.int64)

    padded = pad({"input_ids": ones * 5, "attention_mask": ones}, (4, 5))

    assert padded["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 0, 0, 0, 0]]
    assert padded["input_ids"][:2, :3].tolist() == [[5, 5, 5], [5, 5, 5]]
    assert padded["input_ids"].sum() == 30


def test_what_was_used_last_is_kept() -> None:
    made: list[Shape] = []

    def make(shape: Shape) -> Shape:
        made.append(shape)
        return shape

    recent = Recent(make, most=2)

    for rows in (1, 2, 1, 3, 1, 2):
        assert recent.get((rows, 8)) == (rows, 8)

    assert made == [(1, 8), (2, 8), (3, 8), (2, 8)]
    assert len(recent) == 2
