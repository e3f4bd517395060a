"""Tensors of a model folder, read one at a time from any of the usual files.

Tensors are read on demand: files are mapped into memory, so a folder of 1.3 GB needs only the memory of the tensors
in use. ``*.safetensors`` is read here, as data (its layout: u64 length of the header, a JSON header of
``{name: {dtype, shape, data_offsets}}``, then the tensors, little-endian). ``*.bin`` is a pickle that PyTorch wrote;
PyTorch reads it with ``weights_only=True``, which runs no code from the file.
"""

from __future__ import annotations

import json
import math
import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yeban.errors import EngineUnavailable, ModelUnusable, msg

SAFETENSORS = "model.safetensors"
PICKLE = "pytorch_model.bin"

_INDEX_SUFFIX = ".index.json"
_MAX_HEADER_BYTES = 100_000_000
_FLOATS: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
}
_GIT_LFS = b"version https://git-lfs"
_AGAIN = "download it again."
# Errors of malformed JSON; the last comes from endless nesting.
_NOT_AS_EXPECTED = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True, kw_only=True)
class StoredTensor:
    """One tensor of a file. ``load`` gives it as float32 of that ``shape``, converted from any stored float type."""

    file: Path
    shape: tuple[int, ...]
    load: Callable[[], NDArray[np.float32]]


def open_weights(folder: Path) -> dict[str, StoredTensor]:
    """Tensors in ``folder`` by name; safetensors take precedence over pickles.

    Raises :class:`~yeban.errors.ModelUnusable` naming the file that is missing, damaged or unsafe, and
    :class:`~yeban.errors.EngineUnavailable` when only a pickle is there and PyTorch is not installed.
    """
    for name, read in ((SAFETENSORS, _read_safetensors), (PICKLE, _read_pickle)):
        if (folder / name).is_file():
            return read(folder / name)
        if (folder / f"{name}{_INDEX_SUFFIX}").is_file():
            tensors: dict[str, StoredTensor] = {}
            for shard in _shards(folder / f"{name}{_INDEX_SUFFIX}"):
                tensors.update(read(shard))
            return tensors
    raise ModelUnusable(
        msg(
            "%(folder)s has no weights: it needs %(safetensors)s or %(pickle)s. Download the whole model again.",
            folder=folder,
            safetensors=SAFETENSORS,
            pickle=PICKLE,
        )
    )


def _shards(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except _NOT_AS_EXPECTED as error:
        raise ModelUnusable(
            msg(
                "%(index)s cannot be read as an index of weight files (%(error)s); %(again)s",
                index=index,
                error=repr(error),
                again=_AGAIN,
            )
        ) from error
    for name in names:
        if Path(name).name != name:
            raise ModelUnusable(
                msg("%(index)s names a weight file outside its folder: %(name)s", index=index, name=name)
            )
        if not (index.parent / name).is_file():
            raise ModelUnusable(
                msg(
                    "%(path)s is missing, but %(index)s lists it; %(again)s",
                    path=index.parent / name,
                    index=index.name,
                    again=_AGAIN,
                )
            )
    return [index.parent / name for name in names]


def _read_safetensors(path: Path) -> dict[str, StoredTensor]:
    _refuse_pointer(path)
    try:
        data, header = _map_safetensors(path)
        return {name: _stored(path, name, data, entry) for name, entry in header.items() if name != "__metadata__"}
    except _NOT_AS_EXPECTED as error:
        raise ModelUnusable(
            msg("%(path)s is damaged or incomplete (%(error)s); %(again)s", path=path, error=error, again=_AGAIN)
        ) from error


def _map_safetensors(path: Path) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= min(_MAX_HEADER_BYTES, size - 8):
            raise ValueError(f"a header of {length} bytes in a file of {size}")
        header: dict[str, Any] = json.loads(file.read(length))
    start = 8 + length
    data = np.memmap(path, np.uint8, mode="r", offset=start) if size > start else np.zeros(0, np.uint8)
    return data, header


def _stored(path: Path, name: str, data: NDArray[np.uint8], entry: Mapping[str, Any]) -> StoredTensor:
    kind, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)) or not begin <= end <= len(data):
        raise ValueError(f"{name} lies at bytes {begin} to {end} of {len(data)}")
    if kind in _FLOATS and end - begin != math.prod(shape) * _FLOATS[kind].itemsize:
        raise ValueError(f"{name} has {end - begin} bytes for {kind} {list(shape)}")

    def load() -> NDArray[np.float32]:
        if kind not in _FLOATS:
            raise ModelUnusable(
                msg(
                    "%(path)s stores %(name)s as %(kind)s; weights must be one of %(floats)s.",
                    path=path,
                    name=name,
                    kind=kind,
                    floats=", ".join(_FLOATS),
                )
            )
        stored: NDArray[Any] = np.frombuffer(data, _FLOATS[kind], math.prod(shape), begin).reshape(shape)
        if kind == "BF16":
            # The upper half of a float32.
            return (stored.astype(np.uint32) << 16).view(np.float32)
        # A copy where the header's length leaves float32 numbers off their natural addresses.
        floats: NDArray[np.float32] = stored.astype(np.float32, copy=not stored.flags.aligned)
        return floats

    return StoredTensor(file=path, shape=shape, load=load)


def _read_pickle(path: Path) -> dict[str, StoredTensor]:
    _refuse_pointer(path)
    try:
        torch = import_module("torch")
    except ImportError as error:
        raise EngineUnavailable(
            msg(
                "Reading %(path)s needs PyTorch, which is not installed. Run: pip install 'yeban[models]'. A "
                "folder with %(safetensors)s does not need it.",
                path=path,
                safetensors=SAFETENSORS,
            )
        ) from error
    state = _load_pickle(torch, path)
    if not isinstance(state, Mapping):
        raise ModelUnusable(
            msg("%(path)s contains a %(name)s instead of named tensors.", path=path, name=type(state).__name__)
        )
    return {
        name: StoredTensor(file=path, shape=tuple(tensor.shape), load=_loader(torch, path, name, tensor))
        for name, tensor in state.items()
        if isinstance(name, str) and isinstance(tensor, torch.Tensor)
    }


def _load_pickle(torch: Any, path: Path) -> Any:
    # Only archives in the zip form that PyTorch has written since 1.6 can be mapped.
    mapped = zipfile.is_zipfile(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise ModelUnusable(
            msg(
                "%(path)s is not safe to load: it is damaged, or contains more than tensors, such as code "
                "that runs on loading. Get the model from its publisher again, preferably as safetensors.",
                path=path,
            )
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise ModelUnusable(
            msg("%(path)s is damaged or incomplete (%(reason)s); %(again)s", path=path, reason=reason, again=_AGAIN)
        ) from error


def _loader(torch: Any, path: Path, name: str, tensor: Any) -> Callable[[], NDArray[np.float32]]:
    def load() -> NDArray[np.float32]:
        if not tensor.is_floating_point():
            raise ModelUnusable(
                msg(
                    "%(path)s stores %(name)s as %(dtype)s; weights must be floating-point numbers.",
                    path=path,
                    name=name,
                    dtype=tensor.dtype,
                )
            )
        array: NDArray[np.float32] = tensor.detach().to(torch.float32).contiguous().numpy()
        return array

    return load


def _refuse_pointer(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(len(_GIT_LFS)) == _GIT_LFS:
            raise ModelUnusable(
                msg(
                    "%(path)s is a Git LFS pointer, not the weights: the folder was cloned without Git LFS. "
                    "Run: git lfs pull",
                    path=path,
                )
            )
