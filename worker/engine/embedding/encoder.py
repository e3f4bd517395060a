"""Encode texts as unit vectors: tokenise, cut into blocks, run, restore the order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from worker.engine.batching import Block, cut
from worker.engine.sessions.base import Progress, Session, nothing
from worker.engine.stores import Vector
from worker.engine.tokenisers.library import Tokeniser
from yeban.errors import EngineFailed, msg


@dataclass(frozen=True, kw_only=True)
class EncodePlan:
    """Tokenised texts in blocks. Token counts are after cutting to the model's length."""

    rows: int
    blocks: tuple[Block, ...]
    tokens: int
    padded_tokens: int
    truncated: tuple[int, ...]


class Encoder:
    """One model's tokeniser and graph. Thread-safe."""

    def __init__(self, tokeniser: Tokeniser, session: Session, *, max_tokens: int, dimension: int) -> None:
        self.tokeniser = tokeniser
        self.session = session
        self.max_tokens = max_tokens
        self.dimension = dimension

    def plan(self, texts: Sequence[str]) -> EncodePlan:
        """Tokenise ``texts`` and cut them into blocks; those over ``max_tokens`` keep their beginning."""
        rows = self.tokeniser.encode(texts)
        truncated = tuple(i for i, row in enumerate(rows) if len(row) > self.max_tokens)
        for i in truncated:
            rows[i] = [*rows[i][: self.max_tokens - 1], rows[i][-1]]
        blocks = cut(rows, pad=self.tokeniser.frame.pad, max_block_tokens=self.session.block_tokens)
        return EncodePlan(
            rows=len(rows),
            blocks=tuple(blocks),
            tokens=sum(map(len, rows)),
            padded_tokens=sum(block.input_ids.size for block in blocks),
            truncated=truncated,
        )

    def run(self, plan: EncodePlan, *, progress: Progress = nothing) -> Vector:
        """``(rows, dimension)`` float32 vectors of unit length.

        Raises :class:`~yeban.errors.EngineFailed` when one of them is not finite.
        """
        vectors = np.empty((plan.rows, self.dimension), np.float32)
        outputs = self.session.run([block.inputs for block in plan.blocks], progress=progress)
        for block, output in zip(plan.blocks, outputs, strict=True):
            vectors[block.rows] = output
        if not np.isfinite(vectors).all():
            raise EngineFailed(
                msg("The engine %(session)s returned embeddings that are not finite.", session=self.session.name)
            )
        return vectors

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens included, before any cutting."""
        return [len(row) for row in self.tokeniser.encode(texts)]

    def encode(self, texts: Sequence[str]) -> Vector:
        """Plan and run in one go."""
        return self.run(self.plan(texts))
