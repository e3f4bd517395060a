"""Cutting token rows into blocks that the engine runs, with little padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Block:
    """Rows of nearly equal length in one matrix. ``rows`` says where each came from."""

    rows: NDArray[np.intp]
    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]

    @property
    def inputs(self) -> dict[str, NDArray[np.int64]]:
        """The arrays by the graph's input names, each ``(rows, tokens)``."""
        return {"input_ids": self.input_ids, "attention_mask": self.attention_mask}


def cut(token_rows: Sequence[Sequence[int]], *, pad: int, max_block_tokens: int) -> list[Block]:
    """Sort by length and cut into blocks of at most ``max_block_tokens``, padding counted.

    The longest come first, so that parallel streams end together. A row over the budget gets a
    block to itself.
    """
    order = sorted(range(len(token_rows)), key=lambda i: -len(token_rows[i]))
    blocks: list[Block] = []
    start = 0
    while start < len(order):
        length = len(token_rows[order[start]])
        end = min(len(order), start + max(1, max_block_tokens // max(1, length)))
        blocks.append(_pad(token_rows, order[start:end], length, pad))
        start = end
    return blocks


def _pad(token_rows: Sequence[Sequence[int]], rows: list[int], length: int, pad: int) -> Block:
    ids = np.full((len(rows), length), pad, np.int64)
    mask = np.zeros((len(rows), length), np.int64)
    for at, row in enumerate(rows):
        tokens = token_rows[row]
        ids[at, : len(tokens)] = tokens
        mask[at, : len(tokens)] = 1
    return Block(rows=np.array(rows, np.intp), input_ids=ids, attention_mask=mask)
