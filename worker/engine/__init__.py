"""Classifiers and the engines below them. Importing this package loads no ML library."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from worker.engine.classifier import Batch, Classifier, ModelInfo, Plan, Ranking, RunStats, Scored
from worker.engine.stores import NoStore, Stores, VectorStore

if TYPE_CHECKING:
    from worker.engine.models.loader import open_classifier

__all__ = [
    "Batch",
    "Classifier",
    "ModelInfo",
    "NoStore",
    "Plan",
    "Ranking",
    "RunStats",
    "Scored",
    "Stores",
    "VectorStore",
    "open_classifier",
]


def __getattr__(name: str) -> Any:
    if name == "open_classifier":
        return importlib.import_module("worker.engine.models.loader").open_classifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
