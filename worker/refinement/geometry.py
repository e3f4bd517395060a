"""The main axes of a file's embeddings, and the Gaussians of its labels in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

Floats = NDArray[np.float32]

#: Axes along which the rows of the file differ most. Further axes hold mostly noise and cost time.
_MOST_AXES = 64
_ROWS_AN_AXIS = 4
#: Shrinkage of the shared covariance towards a sphere, since there are few rows for so many axes.
_ROUNDING = 0.5


@dataclass(frozen=True, kw_only=True)
class Discriminant:
    """Linear scores of vectors: log likelihood under each label's Gaussian, up to a constant per row."""

    weights: Floats
    offset: Floats

    def __call__(self, vectors: Floats) -> Floats:
        """Log densities ``(n, n_labels)`` of ``(n, dimension)`` vectors."""
        return vectors @ self.weights + self.offset


@dataclass(frozen=True, kw_only=True)
class Plane:
    """The vectors of a sample in their main axes: ``places`` are ``(n, n_axes)``, around ``centre``."""

    centre: Floats
    axes: Floats
    places: Floats

    def separate(self, mass: Floats, *, reserve: float) -> Discriminant:
        """One Gaussian a label from ``mass`` ``(n, n_labels)``, the share that each label has of each row.

        All have one covariance. ``reserve`` is how many rows' worth of the whole file's mean each label is given.
        """
        sizes = mass.sum(axis=0)
        means = (mass.T @ self.places) / (sizes + reserve)[:, None]
        weights, total = mass.sum(axis=1), mass.sum()
        around = (self.places * weights[:, None]).T @ self.places / total
        within = around - (means.T * (sizes / total)) @ means
        count = within.shape[0]
        within += np.eye(count, dtype=within.dtype) * (_ROUNDING * max(float(np.trace(within)), 1e-9) / count)
        directions = linalg.solve(within, means.T, assume_a="sym")
        weights_full = self.axes @ directions
        offset = -self.centre @ weights_full - 0.5 * np.sum(means.T * directions, axis=0)
        return Discriminant(weights=weights_full.astype(np.float32), offset=offset.astype(np.float32))

    def scores(self, discriminant: Discriminant) -> Floats:
        """Scores of ``discriminant`` for the sample."""
        at_centre = self.centre @ discriminant.weights + discriminant.offset
        return np.asarray(self.places @ (self.axes.T @ discriminant.weights) + at_centre, np.float32)


def fit_plane(vectors: Floats, n_labels: int) -> Plane:
    """The main axes of ``(n, dimension)`` vectors, at most as many as there are rows."""
    centre = vectors.mean(axis=0)
    around = vectors - centre
    most = min(_MOST_AXES, vectors.shape[1], max(n_labels, len(vectors) // _ROWS_AN_AXIS))
    _, directions = linalg.eigh(around.T @ around)
    axes = directions[:, ::-1][:, :most]
    return Plane(centre=centre, axes=np.ascontiguousarray(axes), places=around @ axes)
