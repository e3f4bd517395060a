"""TensorRT engines on disk, one per model, GPU, driver and TensorRT, each with a record.

They are stored beside the models, in ``.engines/<fingerprint>/<gpu, driver, TensorRT>/``, since an engine runs only
on the platform that built it. The record holds the hash of its bytes.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from worker.engine.sessions.machine import Machine
from yeban.errors import EngineUnavailable, ModelUnusable, msg

FOLDER = ".engines"
PRECISION = "fp16"

_FINGERPRINT_CHARS = 12


@dataclass(frozen=True, kw_only=True)
class EngineRecord:
    """The JSON file beside an engine. ``shapes`` holds the largest rows × tokens of each profile."""

    sha256: str
    model: str
    fingerprint: str
    precision: str
    gpu: str
    driver: str
    tensorrt: str
    shapes: tuple[str, ...]
    build_s: float
    built: str


def key(machine: Machine) -> str:
    """Folder name of the platform of an engine: GPU, compute capability, driver, TensorRT.

    Raises :class:`~yeban.errors.EngineUnavailable` where there is no GPU or no TensorRT.
    """
    gpu = machine.gpu
    if gpu is None:
        raise EngineUnavailable(
            msg("There is no GPU to build or run an engine: %(reason)s.", reason=machine.devices.reason)
        )
    if machine.tensorrt is None:
        raise EngineUnavailable(msg("tensorrt is not installed. Run: pip install 'yeban[gpu]'"))
    major, minor = gpu.compute_capability
    return "-".join(
        (
            _plain(gpu.name),
            f"{major}.{minor}",
            f"driver{_plain(machine.devices.driver or 'unknown')}",
            f"trt{_plain(machine.tensorrt)}",
        )
    )


def path_of(model_folder: Path, fingerprint: str, machine: Machine) -> Path:
    """Path of a model's engine for this machine, built or not."""
    return model_folder.parent / FOLDER / fingerprint[:_FINGERPRINT_CHARS] / key(machine) / f"{PRECISION}.plan"


def timing_cache_of(model_folder: Path, machine: Machine) -> Path:
    """Path of the kernel timings of this machine, shared by all models."""
    return model_folder.parent / FOLDER / "timings" / f"{key(machine)}.cache"


def find(model_folder: Path, fingerprint: str, machine: Machine) -> Path | None:
    """The engine of a model for this machine, if it has been built. Its contents are checked on reading."""
    if machine.gpu is None or machine.tensorrt is None:
        return None
    path = path_of(model_folder, fingerprint, machine)
    return path if path.is_file() and _record_of(path).is_file() else None


def read(path: Path) -> bytes:
    """Return the engine's bytes after checking their hash, since TensorRT would run any bytes.

    Raises :class:`~yeban.errors.ModelUnusable`.
    """
    try:
        plan = path.read_bytes()
        recorded = json.loads(_record_of(path).read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelUnusable(
            msg("The TensorRT engine %(path)s cannot be read: %(error)s. Build it again.", path=path, error=repr(error))
        ) from error
    if hashlib.sha256(plan).hexdigest() != recorded:
        raise ModelUnusable(
            msg("The TensorRT engine %(path)s does not match its recorded contents. Build it again.", path=path)
        )
    return plan


def write(path: Path, plan: bytes, record: EngineRecord) -> None:
    """Store an engine and its record. The engine exists once both are in place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _lock(path.parent / ".lock"):
        _record_of(path).unlink(missing_ok=True)
        write_file(path, plan)
        write_file(_record_of(path), (json.dumps(asdict(record), ensure_ascii=False, indent=1) + "\n").encode())


def remove(path: Path) -> None:
    """Remove an engine."""
    with _lock(path.parent / ".lock"):
        _record_of(path).unlink(missing_ok=True)
        path.unlink(missing_ok=True)


def write_file(path: Path, content: bytes) -> None:
    """Replace a file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with scratch.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _record_of(path: Path) -> Path:
    return path.with_suffix(".json")


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "_", text).strip("_.") or "unknown"


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
