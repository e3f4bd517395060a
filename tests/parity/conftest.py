"""The two sides on the same checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.structbert import make_structbert
from tests.parity.comparing import assert_same
from tests.parity.modelscope_reference import ModelScopeReference
from worker.engine.classifier import Classifier, Ranking
from worker.engine.models import store
from worker.engine.models.loader import open_classifier

INT8_SAME_TOP_LABEL = 0.8
"""What a build must keep in INT8 here. Labels are closer together under random weights than under trained ones."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs ModelScope where it is not installed."""
    missing = [name for name in ("torch", "transformers", "modelscope") if find_spec(name) is None]
    if not missing:
        return
    skip = pytest.mark.skip(f"no {', '.join(missing)} here to compare with; scripts/parity installs them")
    for item in items:
        if "open_theirs" in getattr(item, "fixturenames", ()):
            item.add_marker(skip)


@dataclass(frozen=True, kw_only=True)
class Sides:
    """One checkpoint, in ModelScope's pipeline and in our classifier in float32."""

    folder: Path
    theirs: ModelScopeReference
    ours: Classifier

    def agree(self, texts: Sequence[str], labels: str | Sequence[str], **options: Any) -> list[Ranking]:
        """Assert that both rank alike; our rankings."""
        found = self.ours.classify(texts, labels, **options)
        assert_same(found, self.theirs.classify(texts, labels, **options))
        return found


@pytest.fixture(scope="session")
def open_ours(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Classifier]:
    """Builds the checkpoint in a folder and opens it, in float32 unless told otherwise."""
    built: dict[Path, tuple[str, Path]] = {}

    def open_folder(folder: Path, *, precision: str = "fp32") -> Classifier:
        if folder not in built:
            model_dir = tmp_path_factory.mktemp("models")
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("worker.engine.nli.parity.SAME_TOP_LABEL", INT8_SAME_TOP_LABEL)
                built[folder] = store.build(str(folder), model_dir).name, model_dir
        name, model_dir = built[folder]
        return open_classifier(name, precision=precision, model_dir=model_dir)

    return open_folder


@pytest.fixture(scope="session")
def open_theirs() -> Callable[[Path], ModelScopeReference]:
    """Opens a folder in ModelScope's pipeline; without the ``models`` extra the test is skipped."""
    return ModelScopeReference


@pytest.fixture(scope="session")
def make_sides(
    tmp_path_factory: pytest.TempPathFactory,
    open_theirs: Callable[[Path], ModelScopeReference],
    open_ours: Callable[..., Classifier],
) -> Callable[..., Sides]:
    """Makes a checkpoint, with the arguments of ``make_structbert``, and opens it on both sides."""

    def make(**options: Any) -> Sides:
        folder = make_structbert(tmp_path_factory.mktemp("checkpoint"), **options)
        return Sides(folder=folder, theirs=open_theirs(folder), ours=open_ours(folder))

    return make


@pytest.fixture(scope="session")
def sides(make_sides: Callable[..., Sides]) -> Sides:
    """The checkpoint that most tests use."""
    return make_sides(extras=True)
