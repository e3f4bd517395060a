"""Phrasing: the sentences that are embedded for a label.

A bare word makes a poor embedding; sentences that use it make a better one, and their mean a better
one still (prompt ensembling, after Radford et al., "Learning Transferable Visual Models From Natural
Language Supervision", 2021). A user's template replaces the built-in sentences.

Cosines of one model lie close together and shift from text to text, so a single score needs a zero: the
embedding of a neutral label ("something") in the same sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from yeban.labels import DEFAULT_TEMPLATE, Label, LabelSet

FEATURES = ("phrasing", "background")
"""What an embedding model does for bare labels, and may be measured without."""

_EXAMPLES_PER_NAME = 4
"""How many examples weigh as much as the name: one helps a little, five outweigh it."""

_FIRST_EAST_ASIAN = "\u2e80"


@dataclass(frozen=True, kw_only=True)
class Phrasing:
    """Sentences with ``{}`` for a label, and neutral words in place of a label."""

    frames: tuple[str, ...]
    nothing: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Phrasings:
    """One phrasing for labels in Chinese characters, kana or hangul, and one for all others."""

    east_asian: Phrasing
    other: Phrasing

    def of(self, name: str) -> Phrasing:
        """The phrasing in the language of ``name``."""
        return self.east_asian if any(char >= _FIRST_EAST_ASIAN for char in name) else self.other


@dataclass(frozen=True, kw_only=True)
class Part:
    """Strings whose mean embedding goes into a label's with this weight."""

    strings: tuple[str, ...]
    weight: float = 1.0


Recipe = tuple[Part, ...]
"""What a label's embedding is made of."""


def label_recipe(label: Label, template: str, phrasings: Phrasings, *, text_prefix: str, label_prefix: str) -> Recipe:
    """Name and description in words, and the examples as they are."""
    parts = [Part(strings=name_strings(label.name, template, phrasings, label_prefix))]
    if label.description:
        parts.append(Part(strings=(label_prefix + label.description,)))
    if label.examples:
        strings = tuple(text_prefix + example for example in label.examples)
        parts.append(Part(strings=strings, weight=len(strings) / _EXAMPLES_PER_NAME))
    return tuple(parts)


def zero_recipe(label: Label, template: str, phrasings: Phrasings, *, label_prefix: str) -> Recipe:
    """The neutral label in the sentences of ``label``."""
    frames = _frames(label.name, template, phrasings)
    nothing = phrasings.of(label.name).nothing
    return (Part(strings=tuple(label_prefix + frame.replace("{}", word) for frame in frames for word in nothing)),)


def name_strings(name: str, template: str, phrasings: Phrasings, label_prefix: str) -> tuple[str, ...]:
    """Strings that contain the label's name. Each must fit the model."""
    return tuple(label_prefix + frame.replace("{}", name) for frame in _frames(name, template, phrasings))


def strings_that_must_fit(label_set: LabelSet, phrasings: Phrasings, label_prefix: str) -> list[tuple[str, str]]:
    """``(label name, string)`` for every string that must not be cut."""
    pairs = []
    for label in label_set.labels:
        strings: Sequence[str] = name_strings(label.name, label_set.template, phrasings, label_prefix)
        if label.description:
            strings = [*strings, label_prefix + label.description]
        pairs += [(label.name, string) for string in strings]
    return pairs


def _frames(name: str, template: str, phrasings: Phrasings) -> tuple[str, ...]:
    return phrasings.of(name).frames if template == DEFAULT_TEMPLATE else (template,)
