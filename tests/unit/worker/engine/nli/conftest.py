"""A small cross-encoder, whole and in parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from tests.fixtures.dict_store import DictStore
from tests.fixtures.models import NLI_NAME
from worker.engine.checkpoints.checkpoint import Checkpoint, read_checkpoint
from worker.engine.graphs.bert import Geometry
from worker.engine.manifest import Manifest, NliSpec, read_manifest
from worker.engine.nli.expectations import Expected
from worker.engine.tokenisers.pairs import PairTokeniser

Arrays = dict[str, NDArray[Any]]


@pytest.fixture(scope="session")
def checkpoint(nli_checkpoint: Path) -> Checkpoint:
    return read_checkpoint(nli_checkpoint)


@pytest.fixture(scope="session")
def arrays(checkpoint: Checkpoint) -> Arrays:
    """The weights; a test that changes them makes a copy of the mapping."""
    return dict(checkpoint.weights)


@pytest.fixture(scope="session")
def geometry(checkpoint: Checkpoint) -> Geometry:
    config = checkpoint.config
    return Geometry(layers=config.layers, hidden=config.hidden, heads=config.heads, epsilon=config.epsilon)


@pytest.fixture(scope="session")
def nli_folder(nli_model_dir: Path) -> Path:
    return nli_model_dir / NLI_NAME


@pytest.fixture(scope="session")
def nli_manifest(nli_folder: Path) -> Manifest:
    return read_manifest(nli_folder)


@pytest.fixture(scope="session")
def spec(nli_manifest: Manifest) -> NliSpec:
    assert isinstance(nli_manifest.spec, NliSpec)
    return nli_manifest.spec


@pytest.fixture(scope="session")
def tokeniser(nli_folder: Path, spec: NliSpec) -> PairTokeniser:
    return PairTokeniser.load(nli_folder, max_tokens=spec.max_tokens)


@pytest.fixture(scope="session")
def expected(nli_folder: Path) -> Expected:
    return Expected.load(nli_folder)


@pytest.fixture
def store() -> DictStore:
    return DictStore()
