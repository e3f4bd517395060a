"""Embeddings as they are kept."""

from __future__ import annotations

import numpy as np
import pytest

from worker.refinement.vectors import dimension_of, pack, stride, unpack


def test_what_is_packed_comes_back_nearly_the_same():
    vectors = np.random.default_rng(0).standard_normal((50, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    data = pack(vectors)
    assert len(data) == 50 * stride(384)
    assert dimension_of(len(data) // 50) == 384
    back = unpack(data, 384)
    assert np.allclose(np.linalg.norm(back, axis=1), 1, atol=1e-6)
    assert (np.sum(back * vectors, axis=1) > 0.9999).all()


def test_a_row_without_an_embedding_stays_zeros():
    vectors = np.zeros((2, 8), np.float32)
    vectors[1, 3] = 1
    assert np.array_equal(unpack(pack(vectors), 8), vectors)


def test_half_a_vector_is_refused():
    with pytest.raises(ValueError, match="reshape"):
        unpack(pack(np.ones((2, 8), np.float32))[:-1], 8)


def test_no_rows_are_no_bytes():
    assert pack(np.zeros((0, 8), np.float32)) == b""
    assert unpack(b"", 8).shape == (0, 8)
