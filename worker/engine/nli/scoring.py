"""From a cross-encoder's logits to probabilities, as ModelScope's zero-shot pipeline does it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from worker.engine.calibration import sigmoid, softmax


def exclusive(logits: NDArray[np.float32], *, entailment: int) -> NDArray[np.float32]:
    """Softmax over labels of the entailment logit: ``(n_texts, n_labels, classes)`` to ``(n_texts, n_labels)``."""
    return np.asarray(softmax(logits[..., entailment]), np.float32)


def independent(logits: NDArray[np.float32], *, entailment: int, contradiction: int) -> NDArray[np.float32]:
    """Softmax over entailment and contradiction, label by label; shapes as in :func:`exclusive`."""
    # Of two numbers, the softmax is the logistic function of their difference.
    return np.asarray(sigmoid(logits[..., entailment] - logits[..., contradiction]), np.float32)
