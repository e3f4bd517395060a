"""Sentences that were made in English, said again in the reader's language.

Errors, reasons of rows and of jobs are plain English where they are raised, logged, stored and told to programs. A page
knows such a sentence again by its fixed words, takes out what was filled in, and fills it into the translation. The
catalogue has a message for each place in the sources where one is made (``scripts/translate`` finds them). What is
in none stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from babel.messages.mofile import read_mo
from flask_babel import gettext as _
from flask_babel import pgettext

from web.i18n.library_messages import FIELDS
from web.i18n.locale import language
from yeban.errors import error_classes

#: The contexts of these messages in the catalogue, and of the names of forms' fields.
CONTEXT = "sentence"
FIELD_CONTEXT = "field"

_TRANSLATIONS = Path(__file__).resolve().parents[1] / "translations"
_PLACE = re.compile(r"\{\d+\}")
#: A longer one is no sentence of ours, and looking through it for words would cost too much.
_MOST_CHARS = 4_000
_MOST_NESTED = 3
_OPENING_QUOTES = tuple("“\"'‘「`")
# As web.http.parsing lists problems of fields: "threshold: input should be …; text: …"; and "Row 3 (“invoice”): …".
_PLACE_OF_PROBLEM = re.compile(r"([\w.\[\]-]{1,100}|\w+ \d+(?: \(“[^”]{0,100}”\))?): ")
_CLASSES = frozenset(kind.__name__ for kind in error_classes().values())


@dataclass(frozen=True)
class _Pattern:
    """The fixed words of one message, between which anything may stand, and its translation."""

    words: tuple[str, ...]
    translation: str

    def values(self, said: str) -> list[str] | None:
        """What stands between the words in ``said``, if it is this message. Each is as short as can be."""
        first, *between = self.words
        if not between:
            return [] if said == first else None
        last = between.pop()
        start, end = len(first), len(said) - len(last)
        if end < start or not (said.startswith(first) and said.endswith(last)):
            return None
        values = []
        for words in between:
            found = said.find(words, start, end)
            if found < 0:
                return None
            values.append(said[start:found])
            start = found + len(words)
        return [*values, said[start:end]]


@dataclass(frozen=True)
class _Catalogue:
    """What one language has for our sentences."""

    patterns: tuple[_Pattern, ...]  # those with more words of their own first
    fields: Mapping[str, str]

    def translated(self, said: str) -> str:
        """The sentence, or the list of what is wrong with fields."""
        return self._whole(said, _MOST_NESTED) or self._of_fields(said) or said

    def _whole(self, said: str, nested: int) -> str | None:
        for pattern in self.patterns:
            values = pattern.values(said)
            if values is not None:
                return pattern.translation.format(*self._values(pattern, values, nested))
        kind, separator, rest = said.partition(": ")
        # The name of its class is put before what an engine raised; it helps in a log, and nobody on a page.
        return self._whole(rest, nested) if separator and kind in _CLASSES else None

    def _values(self, pattern: _Pattern, values: Sequence[str], nested: int) -> Iterator[str]:
        """What was filled in: words of ours are translated too, but nothing in quotes, for people wrote that."""
        for before, value in zip(pattern.words, values, strict=False):
            if not nested or before.endswith(_OPENING_QUOTES) or value.startswith(_OPENING_QUOTES):
                yield value
            elif value.isidentifier() and "_" in value:  # a state, or a field
                words = value.replace("_", " ")
                yield self._whole(words, 0) or self.fields.get(words, value)
            else:
                yield self._whole(value, nested - 1) or value

    def _of_fields(self, said: str) -> str | None:
        listed = []
        for problem in said.removesuffix(".").split("; "):
            places, what = _places(problem)
            about = self._whole(what[:1].lower() + what[1:], 1)
            if about is None:
                return None
            for place in reversed(places):
                name = self.fields.get(place.replace("_", " ")) or self._whole(place, 0) or place
                about = str(_("%(field)s: %(problem)s", field=name, problem=about))
            listed.append(about)
        sentence: str = _("%(sentence)s.", sentence=pgettext("between two problems", "; ").join(listed))
        return sentence


def translated(said: str) -> str:
    """``said`` in the reader's language; in English where it is no known sentence."""
    if not said or len(said) > _MOST_CHARS:
        return said
    return _catalogue(language()).translated(said)


def field_name(name: str) -> str | None:
    """What the field ``name`` of a form is called in the reader's language; ``None`` for one that has no name there."""
    words = name.replace("_", " ")
    return _catalogue(language()).fields.get(words, words) if words in FIELDS else None


@cache
def _catalogue(of_language: str) -> _Catalogue:
    patterns, fields = [], {}
    path = _TRANSLATIONS / of_language / "LC_MESSAGES" / "messages.mo"
    if path.exists():
        with path.open("rb") as file:
            for message in read_mo(file):
                if message.context == CONTEXT:
                    patterns.append(_Pattern(_words(str(message.id)), str(message.string)))
                elif message.context == FIELD_CONTEXT:
                    fields[str(message.id)] = str(message.string)
    patterns.sort(key=lambda pattern: -sum(map(len, pattern.words)))
    return _Catalogue(tuple(patterns), fields)


def _places(problem: str) -> tuple[list[str], str]:
    """Where something is wrong, from the outside in, and what."""
    places = []
    while match := _PLACE_OF_PROBLEM.match(problem):
        places.append(match[1])
        problem = problem[match.end() :]
    return places, problem


def _words(message: str) -> tuple[str, ...]:
    return tuple(words.replace("{{", "{").replace("}}", "}") for words in _PLACE.split(message))


__all__ = ["CONTEXT", "FIELD_CONTEXT", "field_name", "translated"]
