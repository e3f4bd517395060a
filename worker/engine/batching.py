"""Blocks of token rows with little padding, as the engine runs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Block:
    """Rows of nearly equal length in one matrix. ``rows`` holds their indices in the input."""

    rows: NDArray[np.intp]
    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]

    @property
    def inputs(self) -> dict[str, NDArray[np.int64]]:
        """The arrays by the graph's input names, each ``(rows, tokens)``."""
        return {"input_ids": self.input_ids, "attention_mask": self.attention_mask}


def group(lengths: Sequence[int], *, max_block_tokens: int) -> list[list[int]]:
    """Indices of rows sorted by length and grouped: at most ``max_block_tokens`` a group, padding counted.

    The longest come first, so that parallel streams end together. A row over the budget gets a
    group to itself.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    groups: list[list[int]] = []
    start = 0
    while start < len(order):
        end = min(len(order), start + max(1, max_block_tokens // max(1, lengths[order[start]])))
        groups.append(order[start:end])
        start = end
    return groups


def cut(token_rows: Sequence[Sequence[int]], *, pad: int, max_block_tokens: int) -> list[Block]:
    """Rows of tokens in blocks, grouped as by :func:`group`."""
    groups = group([len(row) for row in token_rows], max_block_tokens=max_block_tokens)
    return [_pad(token_rows, rows, len(token_rows[rows[0]]), pad) for rows in groups]


def _pad(token_rows: Sequence[Sequence[int]], rows: list[int], length: int, pad: int) -> Block:
    ids = np.full((len(rows), length), pad, np.int64)
    mask = np.zeros((len(rows), length), np.int64)
    for at, row in enumerate(rows):
        tokens = token_rows[row]
        ids[at, : len(tokens)] = tokens
        mask[at, : len(tokens)] = 1
    return Block(rows=np.array(rows, np.intp), input_ids=ids, attention_mask=mask)
