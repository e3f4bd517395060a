"""Optimisation profiles: shapes that a TensorRT engine is built for, and how calls fit them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_FEW_ROWS = 16
"""The pairs of one text with a handful of labels: what an interactive request needs."""

_BUCKETS = (16, 32, 64, 128, 256, 512)


@dataclass(frozen=True, kw_only=True)
class Range:
    """An inclusive range, and the value that kernels are tuned for."""

    least: int
    best: int
    most: int


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One optimisation profile: TensorRT picks kernels for its best shape, and memory for its largest."""

    rows: Range
    tokens: Range

    def holds(self, rows: int, tokens: int) -> bool:
        """Report whether a call of this shape may run under the profile."""
        return self.rows.least <= rows <= self.rows.most and self.tokens.least <= tokens <= self.tokens.most


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Rows ``start`` to ``stop`` of a call, under the profile of that index."""

    start: int
    stop: int
    profile: int


def profiles(*, max_tokens: int, block_tokens: int, max_batch: int | None = None) -> tuple[Profile, ...]:
    """Two for few rows, then one a range of lengths, each for as many rows as ``block_tokens`` hold.

    One profile for all would need memory for the longest rows at the largest batch.
    """
    buckets = [bucket for bucket in _BUCKETS if bucket < max_tokens] + [max_tokens]
    few = min(_FEW_ROWS, max_batch or _FEW_ROWS)
    short = min(64, max_tokens)
    made = [_profile(few, max(1, few // 2), 1, min(32, short), short)]
    if short < max_tokens:
        made.append(_profile(few, max(1, few // 2), short + 1, max(short + 1, max_tokens // 4), max_tokens))
    for before, bucket in zip([0, *buckets], buckets, strict=False):
        most = max(1, min(block_tokens // bucket, max_batch or block_tokens))
        made.append(_profile(most, most, before + 1, bucket, bucket))
    return tuple(made)


def fit(available: Sequence[Profile], rows: int, tokens: int) -> Iterator[Piece]:
    """Cut a call into pieces that profiles hold: one if any holds it whole, else even ones of the widest.

    Yields nothing when no profile is for rows of this length.
    """
    for index, profile in enumerate(available):
        if profile.holds(rows, tokens):
            yield Piece(start=0, stop=rows, profile=index)
            return
    wide = [(profile.rows.most, index) for index, profile in enumerate(available) if profile.holds(1, tokens)]
    if not wide or rows == 0:
        return
    most, index = max(wide)
    count = math.ceil(rows / most)
    for part in range(count):
        yield Piece(start=rows * part // count, stop=rows * (part + 1) // count, profile=index)


def _profile(most_rows: int, best_rows: int, least: int, best: int, most: int) -> Profile:
    return Profile(rows=Range(least=1, best=best_rows, most=most_rows), tokens=Range(least=least, best=best, most=most))
