"""Parity of each variant with float32, at several lengths and batch sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from worker.engine.manifest import EmbeddingSpec, Parity, Variant
from worker.engine.sessions import Inputs, available_sessions
from worker.engine.sessions.selection import open_variant
from yeban.errors import ModelUnusable, msg

REFERENCE = "fp32"
WORST_COSINE = 0.99
"""A variant with a lower cosine to float32 anywhere is not fit for use."""

_SHAPES = ((1, 8), (3, 17), (16, 64), (2, 512))
_PIECES = range(4, 200_000)


def measure(folder: Path, spec: EmbeddingSpec, variants: tuple[Variant, ...]) -> tuple[Parity, ...]:
    """Compare every variant in every installed session with the float32 graph in the best one.

    Raises :class:`~yeban.errors.ModelUnusable` if one falls below ``WORST_COSINE``.
    """
    calls = [_call(shape, spec) for shape in _SHAPES]
    ordered = sorted(variants, key=lambda variant: variant.precision != REFERENCE)
    reference: list[NDArray[np.float32]] = []
    figures: list[Parity] = []
    for variant in ordered:
        for session_name in (name for name in available_sessions() if name in variant.sessions):
            outputs = open_variant(folder, variant, session_name).run(calls)
            if reference:
                figures += [
                    _compare(session_name, variant, *pair) for pair in zip(_SHAPES, outputs, reference, strict=True)
                ]
            else:
                reference = outputs
    for figure in figures:
        if not (worst := figure.measures["worst_cosine"]) >= WORST_COSINE:
            raise ModelUnusable(
                msg(
                    "%(precision)s in %(session)s is too far from %(reference)s: cosine %(worst)s for "
                    "%(sample)s; at least %(worst_cosine)s is required.",
                    precision=figure.precision,
                    session=figure.session,
                    reference=REFERENCE,
                    worst=worst,
                    sample=figure.sample,
                    worst_cosine=WORST_COSINE,
                )
            )
    return tuple(figures)


def _call(shape: tuple[int, int], spec: EmbeddingSpec) -> Inputs:
    """Random pieces between the special tokens; every row but the first is shorter than the block."""
    rows, tokens = shape
    random = np.random.default_rng(rows * tokens)
    ids = random.integers(_PIECES.start, _PIECES.stop, shape, np.int64)
    lengths = np.array([tokens, *random.integers(3, tokens + 1, rows - 1)])
    at = np.arange(tokens)
    mask = (at < lengths[:, None]).astype(np.int64)
    ids[:, 0] = spec.frame.first
    ids[at == lengths[:, None] - 1] = spec.frame.last
    ids[mask == 0] = spec.frame.pad
    return {"input_ids": ids, "attention_mask": mask}


def _compare(
    session: str,
    variant: Variant,
    shape: tuple[int, int],
    output: NDArray[np.float32],
    expected: NDArray[np.float32],
) -> Parity:
    cosines = (output * expected).sum(axis=1)
    return Parity(
        session=session,
        precision=variant.precision,
        sample=f"{shape[0]} × {shape[1]} tokens",
        measures={
            "worst_cosine": round(float(cosines.min()), 6),
            "mean_cosine": round(float(cosines.mean()), 6),
        },
    )
