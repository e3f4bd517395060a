"""Built models on disk: one folder a model, complete or absent."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from worker.engine.manifest import MANIFEST_FILE, Manifest, read_manifest, record_file
from worker.engine.models.recipes import RECIPES, find_recipe
from yeban.errors import ModelUnusable, UnknownModel, msg

_SMALL_FILE = 1 << 20


def find(name_or_path: str, model_dir: Path) -> Path:
    """The folder of a built model, by name or by path.

    Raises :class:`~yeban.errors.UnknownModel`, which names the command that builds it.
    """
    folder = model_dir / name_or_path
    if _is_plain(name_or_path) and (folder / MANIFEST_FILE).is_file():
        return folder
    if (Path(name_or_path) / MANIFEST_FILE).is_file():
        return Path(name_or_path)
    if name_or_path in RECIPES:
        raise UnknownModel(
            msg(
                "The model %(name_or_path)s has not been built yet. Run: yeban models build %(name_or_path)s",
                name_or_path=name_or_path,
            ),
            model=name_or_path,
        )
    raise UnknownModel(
        msg(
            "There is no model %(name_or_path)s: it is neither built in %(model_dir)s nor a folder with a "
            "%(manifest_file)s. Models you can build: %(recipes)s.",
            name_or_path=name_or_path,
            model_dir=model_dir,
            manifest_file=MANIFEST_FILE,
            recipes=", ".join(RECIPES),
        ),
        model=name_or_path,
    )


def ensure(name_or_path: str, model_dir: Path) -> Path:
    """Find a model, building it first if it is missing and needs no network.

    A damaged model, or one with a manifest of another version, is rebuilt too.
    """
    recipe = RECIPES.get(name_or_path)
    if recipe is not None and recipe.offline and _intact(model_dir / name_or_path) is None:
        build(name_or_path, model_dir)
    return find(name_or_path, model_dir)


def load(folder: Path) -> Manifest:
    """The manifest of the model in ``folder``, after a cheap check: sizes, and hashes of small files.

    Raises :class:`~yeban.errors.ModelUnusable` naming the first file that does not match.
    """
    manifest = read_manifest(folder)
    for problem in damage(folder, manifest, full=False):
        raise ModelUnusable(
            msg("The model in %(folder)s is damaged: %(problem)s. Build it again.", folder=folder, problem=problem),
            model=manifest.name,
        )
    return manifest


def damage(folder: Path, manifest: Manifest, *, full: bool) -> Iterator[str]:
    """Faults of the files, one sentence each; ``full`` also hashes large files."""
    for record in manifest.files:
        path = folder / record.path
        if not path.is_file():
            yield f"{record.path} is missing"
        elif path.stat().st_size != record.size:
            yield f"{record.path} has {path.stat().st_size} bytes, not {record.size}"
        elif (full or record.size < _SMALL_FILE) and record_file(folder, record.path).sha256 != record.sha256:
            yield f"{record.path} does not have the recorded contents"


def build(
    name_or_path: str, model_dir: Path, *, called: str | None = None, scheme: str | None = None, force: bool = False
) -> Manifest:
    """Build a model by name, or from the checkpoint in a folder, into ``model_dir`` and return its manifest.

    An intact model is left alone unless ``force``. Its folder appears atomically; of several concurrent builds,
    one runs and the others wait for it. Raises
    :class:`~yeban.errors.UnknownModel` as :func:`~worker.engine.models.recipes.find_recipe` does, which has
    ``called`` and ``scheme``.
    """
    recipe = find_recipe(name_or_path, called=called, scheme=scheme)
    name = recipe.name
    model_dir.mkdir(parents=True, exist_ok=True)
    with _lock(model_dir / f".{name}.lock"):
        target = model_dir / name
        if not force:
            manifest = _intact(target)
            if manifest is not None:
                return manifest
        _remove_leftovers(model_dir, name)
        scratch = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=model_dir))
        try:
            manifest = recipe.build(scratch)
            (scratch / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
            _sync(scratch)
            _swap(scratch, target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return manifest


def list_models(model_dir: Path) -> list[Manifest]:
    """The models built in ``model_dir``, by name; folders that cannot be read as one are left out."""
    manifests = []
    for path in sorted(model_dir.glob(f"[!.]*/{MANIFEST_FILE}")):
        try:
            manifests.append(read_manifest(path.parent))
        except ModelUnusable:
            continue
    return manifests


def _intact(folder: Path) -> Manifest | None:
    try:
        return load(folder)
    except ModelUnusable:
        return None


def _is_plain(name: str) -> bool:
    return Path(name).name == name and not name.startswith(".")


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove_leftovers(model_dir: Path, name: str) -> None:
    """Remove leftovers of killed builds. The caller must hold the lock."""
    leftover = re.compile(rf"\.{re.escape(name)}\.(old\.)?[a-z0-9_]{{8}}")
    for path in model_dir.iterdir():
        if leftover.fullmatch(path.name) and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def _sync(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _swap(scratch: Path, target: Path) -> None:
    # A process with open files of the old folder keeps them until it closes them.
    scratch.chmod(0o755)
    if target.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
        target.rename(old / target.name)
        scratch.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        scratch.rename(target)
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
