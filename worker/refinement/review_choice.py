"""Choice of the rows to review first: uncertain rows that resemble many others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from worker.refinement.refiner import UNKNOWN, Floats, Labels, Rows

_CANDIDATES = 4_000
_NEIGHBOURS = 20


def suggest(rows: Rows, probabilities: Floats, known: Labels, count: int) -> list[int]:
    """Up to ``count`` places in ``rows``, the most useful first; rows with a known label are left out.

    A row's worth is how close its best two labels are, times how similar it is to its nearest rows, and falls with its
    similarity to known and already chosen rows, so that the choice spreads over the file.
    """
    step = -(-len(rows) // _CANDIDATES)
    places = np.unique(np.concatenate([np.arange(0, len(rows), step), np.flatnonzero(known != UNKNOWN)]))
    vectors = rows.vectors[places] - rows.vectors.mean(axis=0)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.divide(vectors, lengths, out=vectors, where=lengths > 0)
    similar = vectors @ vectors.T
    nearest = min(_NEIGHBOURS, len(places))
    density = np.partition(similar, -nearest, axis=1)[:, -nearest:].mean(axis=1)
    two = np.partition(probabilities[places], -2, axis=1)[:, -2:]
    worth = (1.0 - (two[:, 1] - two[:, 0])) * np.maximum(density, 0.0)
    settled = known[places] != UNKNOWN
    covered = similar[:, settled].max(axis=1, initial=0.0)
    chosen: list[int] = []
    open_: NDArray[np.bool_] = ~settled
    while len(chosen) < min(count, int((known[places] == UNKNOWN).sum())):
        best = int(np.argmax(np.where(open_, worth * (1.0 - covered), -np.inf)))
        chosen.append(int(places[best]))
        open_[best] = False
        covered = np.maximum(covered, similar[:, best])
    return chosen
