"""The words of a row: its character n-grams, weighted by tf-idf.

Characters need no segmenter and serve Chinese and English alike. They keep details that an embedding blurs, such as
product names. Hashing gives a vocabulary of fixed size for any file.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

_LENGTHS = (1, 2, 3)
_HASH_BITS = 20
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # Knuth's multiplicative hashing, by the golden ratio
_LEAST_TEXTS = 3
_MOST_COLUMNS = 30_000
#: Characters read of a text: more add little, and the limit bounds the work of one row.
MOST_CHARS = 512


@dataclass(frozen=True, kw_only=True)
class NGrams:
    """The vocabulary of n-grams of one file. ``columns`` has the column of each hash, or -1."""

    columns: NDArray[np.int32]
    idf: NDArray[np.float32]

    @classmethod
    def fit(cls, texts: Sequence[str]) -> NGrams:
        """Take the most frequent n-grams that at least three of ``texts`` have."""
        counts = _counts(texts, np.arange(1 << _HASH_BITS, dtype=np.int32), 1 << _HASH_BITS)
        texts_with = np.bincount(counts.indices, minlength=1 << _HASH_BITS)
        # A stable order, so that ties are cut the same way everywhere.
        frequent = np.argsort(-texts_with, kind="stable")[:_MOST_COLUMNS]
        kept = np.sort(frequent[texts_with[frequent] >= _LEAST_TEXTS])
        columns = np.full(1 << _HASH_BITS, -1, np.int32)
        columns[kept] = np.arange(len(kept), dtype=np.int32)
        idf = np.log((1 + len(texts)) / (1 + texts_with[kept])) + 1
        return cls(columns=columns, idf=idf.astype(np.float32))

    def __len__(self) -> int:
        return len(self.idf)

    def matrix(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """Rows of unit length, ``(n_texts, len(self))`` float32; a text without a known n-gram is all zeros."""
        found = _counts(texts, self.columns, len(self))
        found.data = (1 + np.log(found.data)) * self.idf[found.indices]
        rows = np.repeat(np.arange(len(texts)), np.diff(found.indptr))
        lengths = np.sqrt(np.bincount(rows, found.data**2, minlength=len(texts))).astype(np.float32)
        found.data /= lengths[rows]
        return found


def _counts(texts: Sequence[str], columns: NDArray[np.int32], width: int) -> sparse.csr_matrix:
    """Counts of the vocabulary's n-grams in each text."""
    plain = [unicodedata.normalize("NFKC", text[:MOST_CHARS]).lower() for text in texts]
    lengths = np.fromiter(map(len, plain), np.int64, len(plain))
    codes = np.frombuffer("".join(plain).encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
    row_of = np.repeat(np.arange(len(plain), dtype=np.int32), lengths)
    rows, found = [], []
    rolling = np.zeros(len(codes), np.uint64)
    for length in _LENGTHS:
        # The hash of the n-gram that begins at each place, one character longer each time.
        rolling = rolling[: len(codes) - length + 1] * _MULTIPLIER + codes[length - 1 :]
        whole = row_of[: len(rolling)] == row_of[length - 1 :]
        hashes = ((rolling[whole] + np.uint64(length)) * _MULTIPLIER) >> np.uint64(64 - _HASH_BITS)
        column = columns[hashes.astype(np.int64)]
        known = column >= 0
        rows.append(row_of[: len(rolling)][whole][known])
        found.append(column[known])
    row, column = np.concatenate(rows), np.concatenate(found)
    ones = np.ones(len(row), np.float32)
    # Summing duplicate entries yields the counts.
    counted: sparse.csr_matrix = sparse.coo_matrix((ones, (row, column)), shape=(len(plain), width)).tocsr()
    return counted
