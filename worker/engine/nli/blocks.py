"""Blocks of pairs, the unit of work that a session receives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.engine.batching import group
from worker.engine.sessions.base import Inputs
from worker.engine.tokenisers.pairs import Pair


@dataclass(frozen=True, kw_only=True)
class PairBlock:
    """Pairs of nearly equal length. ``rows`` says which ones, ``inputs`` are the session's."""

    rows: NDArray[np.intp]
    inputs: Inputs

    @property
    def padded_tokens(self) -> int:
        """Tokens with padding."""
        return self.inputs["input_ids"].size


def cut(pairs: Sequence[Pair], *, pad: int, max_block_tokens: int) -> list[PairBlock]:
    """Sort pairs by length and cut them into blocks of at most ``max_block_tokens``, padding counted."""
    lengths = [len(pair.input_ids) for pair in pairs]
    return [_block(pairs, rows, lengths[rows[0]], pad) for rows in group(lengths, max_block_tokens=max_block_tokens)]


def _block(pairs: Sequence[Pair], rows: Sequence[int], tokens: int, pad: int) -> PairBlock:
    ids = np.full((len(rows), tokens), pad, np.int64)
    mask = np.zeros((len(rows), tokens), np.int64)
    types = np.zeros((len(rows), tokens), np.int64)
    for at, row in enumerate(rows):
        pair = pairs[row]
        end = len(pair.input_ids)
        ids[at, :end] = pair.input_ids
        mask[at, :end] = 1
        types[at, pair.boundary : end] = 1
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    return PairBlock(rows=np.array(rows, np.intp), inputs=inputs)
