"""Which rows of a file are learnt from."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

#: More rows change little of what is learnt, and cost memory and time.
SAMPLE_ROWS = 20_000


def sample(row_count: int, also: Iterable[int] = ()) -> NDArray[np.intp]:
    """Places in a file of ``row_count`` rows, in order: drawn evenly, the same each time, and those in ``also``."""
    if row_count <= SAMPLE_ROWS:
        return np.arange(row_count)
    drawn = np.random.default_rng(0).choice(row_count, SAMPLE_ROWS, replace=False)
    return np.union1d(drawn, np.fromiter(also, np.intp)).astype(np.intp)
