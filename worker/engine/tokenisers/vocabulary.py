"""The Unigram vocabulary of a tokeniser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The Unigram vocabulary. ``replacements`` maps a code point to the text that stands for it."""

    pieces: tuple[str, ...]
    scores: tuple[float, ...]
    replacements: Mapping[int, str]
    bos: int
    eos: int
    pad: int
    unk: int
