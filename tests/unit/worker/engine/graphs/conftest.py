"""A small BERT with random weights, by the names that graphs know them by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from worker.engine.checkpoints.checkpoint import read_checkpoint
from worker.engine.graphs.bert import Geometry


@pytest.fixture(scope="session")
def arrays(nli_checkpoint: Path) -> dict[str, NDArray[Any]]:
    return dict(read_checkpoint(nli_checkpoint).weights)


@pytest.fixture(scope="session")
def geometry(nli_checkpoint: Path) -> Geometry:
    config = read_checkpoint(nli_checkpoint).config
    return Geometry(layers=config.layers, hidden=config.hidden, heads=config.heads, epsilon=config.epsilon)
