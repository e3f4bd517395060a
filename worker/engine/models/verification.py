"""Verify a built model: every hash, and parity with float32."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from worker.engine.embedding import parity
from worker.engine.manifest import EmbeddingSpec, Manifest, Parity, fingerprint, read_manifest
from worker.engine.models import store
from worker.engine.nli import parity as nli_parity
from yeban.errors import ModelUnusable


@dataclass(frozen=True, kw_only=True)
class Report:
    """Result of a check. ``problems`` are sentences; a sound model has none."""

    name: str
    folder: str
    fingerprint: str
    problems: tuple[str, ...]
    parity: tuple[Parity, ...]

    @property
    def good(self) -> bool:
        return not self.problems


def verify(name_or_path: str, model_dir: Path) -> Report:
    """Hash every file and run every variant against float32 in every installed session.

    Parity is skipped if files are damaged. Raises :class:`~yeban.errors.UnknownModel` for an unknown
    model and :class:`~yeban.errors.ModelUnusable` when its manifest cannot be read.
    """
    folder = store.find(name_or_path, model_dir)
    manifest = read_manifest(folder)
    problems = list(store.damage(folder, manifest, full=True))
    if fingerprint(manifest.spec, manifest.files) != manifest.fingerprint:
        problems.append("the fingerprint does not match the manifest, which was changed after the build")
    figures: tuple[Parity, ...] = ()
    if not problems:
        try:
            figures = _measure(folder, manifest)
        except ModelUnusable as error:
            problems.append(error.detail)
    return Report(
        name=manifest.name,
        folder=str(folder),
        fingerprint=manifest.fingerprint,
        problems=tuple(problems),
        parity=figures,
    )


def _measure(folder: Path, manifest: Manifest) -> tuple[Parity, ...]:
    if isinstance(manifest.spec, EmbeddingSpec):
        return parity.measure(folder, manifest.spec, manifest.variants)
    return nli_parity.measure(folder, manifest.spec, manifest.variants)
