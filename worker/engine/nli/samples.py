"""Sample texts and label sets for fitting int8 scales and measuring their cost.

They were written for this purpose, in Chinese and English: tickets, headlines, reviews, requests, and odd strings.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker.engine.tokenisers.pairs import Pair, PairTokeniser

_FILE = Path(__file__).with_name("samples.json")
_TEMPLATES = ("{}", "这段话说的是{}。")


@dataclass(frozen=True, kw_only=True)
class Question:
    """One text with one label set: the pairs, one a label."""

    pairs: tuple[Pair, ...]


def ordinary_texts() -> tuple[str, ...]:
    """The sample texts."""
    return tuple(_document()["texts"])


def questions(tokeniser: PairTokeniser) -> tuple[list[Question], list[Question]]:
    """Questions for fitting and for verification: alternate texts, with label sets and templates in turn."""
    document = _document()
    texts: Sequence[str] = document["texts"]
    label_sets: Sequence[Sequence[str]] = document["label_sets"]
    sets = len(label_sets)
    asked = [
        _question(tokeniser, text, label_sets[at // 2 % sets], _TEMPLATES[at // (2 * sets) % len(_TEMPLATES)])
        for at, text in enumerate(texts)
    ]
    return asked[0::2], asked[1::2]


def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return document


def _question(tokeniser: PairTokeniser, text: str, labels: Sequence[str], template: str) -> Question:
    text_ids, *hypotheses = tokeniser.encode([text, *(template.replace("{}", label) for label in labels)])
    return Question(pairs=tuple(tokeniser.frame(text_ids, ids) for ids in hypotheses))
