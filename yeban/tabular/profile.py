"""Profile a table: counts over all rows, shown before a job is created."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from yeban.tabular.reader import Table

#: Distinct texts that are remembered; later rows are not checked for duplicates.
MAX_DISTINCT_TEXTS = 500_000
#: Distinct gold labels that are counted; a column with more does not hold labels.
MAX_GOLD_LABELS = 1_000

_MAX_GOLD_CHARS = 200
_SLOTS = 1 << 20  # more than twice the number of texts, which keeps probing short
_MASK = (1 << 64) - 1

# Tokens of one character, at the rates of the XLM-RoBERTa tokeniser. None is over 1: see about_tokens.
_IDEOGRAPH = 0.73
_LETTER = 0.285
_DIGIT = 0.6
_SIGN = 0.95
_SPACE = 0.0

_IDEOGRAPHS = (
    range(0x2E80, 0xA4D0),  # with kana and bopomofo
    range(0xAC00, 0xD7B0),
    range(0xF900, 0xFB00),
    range(0x20000, 0x40000),
)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Counts of rows.

    ``unscorable`` rows have no text or cannot be parsed. ``duplicates`` repeat the text of an earlier row, among the
    first ``compared`` rows. ``long`` rows have more tokens than the given limit, estimated by :func:`about_tokens`.
    ``gold`` has the frequency of each label in the gold column, most frequent first; it is ``None`` without a gold
    column, and for more than :data:`MAX_GOLD_LABELS` distinct values.
    """

    rows: int
    unscorable: int
    duplicates: int
    compared: int
    long: int
    longest_chars: int
    without_gold: int
    gold: Mapping[str, int] | None

    @property
    def compared_all(self) -> bool:
        """True if every row was checked for duplicates."""
        return self.compared == self.rows


def profile_table(table: Table, *, long_tokens: int, joiner: str | None = None) -> Profile:
    """Read and count all rows of ``table``, in 8 MiB of memory.

    ``joiner`` separates several gold labels of one row. Raises the errors of reading the table.
    """
    rows = unscorable = duplicates = compared = long = longest = without_gold = 0
    seen = _Seen()
    gold: Counter[str] | None = None if table.header.gold_index is None else Counter()
    for row in table:
        rows += 1
        if not seen.full:
            compared += 1
        if row.problem is not None:
            unscorable += 1
        else:
            length = len(row.text)
            longest = max(longest, length)
            # A text has at most one token a character, so most texts need no estimate.
            long += length > long_tokens and about_tokens(row.text) > long_tokens
            duplicates += seen.add(row.text)
        if gold is not None:
            without_gold += row.gold is None
            gold.update(_gold_labels(row.gold, joiner))
            if len(gold) > MAX_GOLD_LABELS:
                gold = None
    return Profile(
        rows=rows,
        unscorable=unscorable,
        duplicates=duplicates,
        compared=compared,
        long=long,
        longest_chars=longest,
        without_gold=without_gold,
        gold=None if gold is None else dict(gold.most_common()),
    )


class _Seen:
    """A set of texts by their 64-bit hashes, in a table of fixed size.

    The probability that two of half a million distinct texts share a hash is about 1 in 10^8.
    """

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * _SLOTS))
        self._distinct = 0

    @property
    def full(self) -> bool:
        return self._distinct >= MAX_DISTINCT_TEXTS

    def add(self, text: str) -> bool:
        """Add a text; returns True if it was there already. A full set ignores it and returns False."""
        if self.full:
            return False
        key = hash(text) & _MASK or 1  # 0 is an empty slot
        slots, slot = self._slots, key % _SLOTS
        while (found := slots[slot]) != 0:
            if found == key:
                return True
            slot = (slot + 1) % _SLOTS
        slots[slot] = key
        self._distinct += 1
        return False


def _gold_labels(gold: str | None, joiner: str | None) -> list[str]:
    if gold is None:
        return []
    parts = [gold] if joiner is None else gold.split(joiner)
    return [label[:_MAX_GOLD_CHARS] for part in parts if (label := part.strip())]


def about_tokens(text: str) -> float:
    """Estimate the tokens of ``text`` without a tokeniser.

    The estimate is at least 0 and at most one a character. Most multilingual models share the tokeniser whose rates
    this uses: ten Chinese characters are about seven tokens, an English word of four letters about one. The estimate is
    within 15 % for tickets in Chinese, English or both; it may be farther off for other scripts.
    """
    return sum(_rate(char) * times for char, times in Counter(text).items())


@lru_cache(maxsize=1 << 16)
def _rate(char: str) -> float:
    if char.isspace():
        return _SPACE
    if char.isdecimal():
        return _DIGIT
    if not char.isalpha():
        return _SIGN
    point = ord(char)
    return _IDEOGRAPH if any(point in block for block in _IDEOGRAPHS) else _LETTER
