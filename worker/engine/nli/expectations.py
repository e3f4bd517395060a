"""Expected answers of a cross-encoder, stored beside the model and checked for every build.

Random pairs of several shapes are answered by the NumPy oracle: they catch a graph that is wrong at some length. Pairs
of sample texts and labels are answered by the float32 graph once it has passed: they tell what a lower precision costs.
An engine built later, on another machine, is held against the same numbers.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.engine.graphs.bert import Arrays, Geometry
from worker.engine.graphs.nli import INPUTS
from worker.engine.nli import oracle
from worker.engine.nli.blocks import PairBlock, cut
from worker.engine.nli.samples import Question
from worker.engine.sessions.base import Inputs, Session
from yeban.errors import ModelUnusable, msg

EXPECTED_FILE = "expected.npz"

_BLOCK_TOKENS = 512
_SHAPES = ((1, 8), (3, 17), (5, 40), (16, 64), (2, 512))
Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Expected:
    """Calls with the ``(batch, classes)`` logits wanted of each, and pairs of samples with theirs.

    ``ends`` says where the pairs of each question end.
    """

    calls: tuple[Inputs, ...]
    answers: tuple[Floats, ...]
    pairs: tuple[PairBlock, ...]
    logits: Floats
    ends: NDArray[np.int64]

    def save(self, folder: Path) -> None:
        """Write all of it into ``folder``."""
        entries: dict[str, NDArray[Any]] = {"logits": self.logits, "ends": self.ends}
        for number, (call, answer) in enumerate(zip(self.calls, self.answers, strict=True)):
            entries |= _entries(f"call{number}", call) | {f"call{number}.answer": answer}
        for number, block in enumerate(self.pairs):
            entries |= _entries(f"block{number}", block.inputs) | {f"block{number}.rows": block.rows}
        np.savez_compressed(folder / EXPECTED_FILE, **entries)  # type: ignore[arg-type] # its stub lacks the keywords

    @classmethod
    def load(cls, folder: Path) -> Expected:
        """Read what :meth:`save` wrote. Raises :class:`~yeban.errors.ModelUnusable`."""
        try:
            # Opened here: the library leaves open what it finds to be no archive.
            with (folder / EXPECTED_FILE).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                calls = range(sum(name.endswith(".answer") for name in file.files))
                blocks = range(sum(name.endswith(".rows") for name in file.files))
                return cls(
                    calls=tuple(_inputs(file, f"call{number}") for number in calls),
                    answers=tuple(file[f"call{number}.answer"] for number in calls),
                    pairs=tuple(
                        PairBlock(rows=file[f"block{number}.rows"], inputs=_inputs(file, f"block{number}"))
                        for number in blocks
                    ),
                    logits=file["logits"],
                    ends=file["ends"],
                )
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise ModelUnusable(
                msg(
                    "%(path)s cannot be read (%(error)s). Build the model again.",
                    path=folder / EXPECTED_FILE,
                    error=error,
                )
            ) from error

    def answer_samples(self, session: Session) -> Floats:
        """The session's logits for the pairs of samples."""
        return _answer(session, self.pairs)


def expect(arrays: Arrays, geometry: Geometry, reference: Session, asked: Sequence[Question], *, pad: int) -> Expected:
    """Ask the oracle about random pairs, and ``reference``, a session of the float32 graph, about samples."""
    calls, answers = _ask_oracle(arrays, geometry, pad=pad)
    pairs = [pair for question in asked for pair in question.pairs]
    blocks = tuple(cut(pairs, pad=pad, max_block_tokens=_BLOCK_TOKENS))
    ends = np.cumsum([len(question.pairs) for question in asked])
    return Expected(calls=calls, answers=answers, pairs=blocks, logits=_answer(reference, blocks), ends=ends)


def _ask_oracle(arrays: Arrays, geometry: Geometry, *, pad: int) -> tuple[tuple[Inputs, ...], tuple[Floats, ...]]:
    vocabulary, positions = arrays["emb.word"].shape[0], arrays["emb.pos"].shape[0]
    shapes = [(rows, min(tokens, positions)) for rows, tokens in _SHAPES]
    calls = tuple(oracle.random_pairs(rows, tokens, vocabulary=vocabulary, pad=pad) for rows, tokens in shapes)
    return calls, tuple(oracle.logits(arrays, geometry, call) for call in calls)


def _answer(session: Session, blocks: Sequence[PairBlock]) -> Floats:
    """The session's ``(pairs, classes)`` logits, in the order of the pairs."""
    outputs = session.run([block.inputs for block in blocks])
    logits = np.empty((sum(len(block.rows) for block in blocks), outputs[0].shape[1]), np.float32)
    for block, output in zip(blocks, outputs, strict=True):
        logits[block.rows] = output
    return logits


def _entries(name: str, inputs: Inputs) -> dict[str, NDArray[Any]]:
    return {f"{name}.{key}": inputs[key].astype(np.int32) for key in INPUTS}


def _inputs(file: Any, name: str) -> Inputs:
    return {key: file[f"{name}.{key}"].astype(np.int64) for key in INPUTS}
