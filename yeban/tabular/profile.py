"""What a person should know of a table before it becomes a job: counts over all its rows, in one pass."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from yeban.tabular.reader import Table

#: Different texts that are told apart; what comes after them is not looked at for duplicates.
MAX_DISTINCT_TEXTS = 500_000
#: Different gold labels that are counted; more are no labels.
MAX_GOLD_LABELS = 1_000

_MAX_GOLD_CHARS = 200
_SLOTS = 1 << 20  # over twice as many as texts, so that an empty one is soon found
_MASK = (1 << 64) - 1

# Tokens of one character.
_IDEOGRAPH = 0.73
_LETTER = 0.285
_DIGIT = 0.6
_SIGN = 0.95
# No kind of character has more: a text is never taken for more tokens than it has characters.
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

    ``unscorable`` have no text, or a line that cannot be read; the others are texts. ``duplicates`` are texts that
    stand in an earlier row already, among the first ``compared`` rows. ``long`` have more tokens than asked for, as
    :func:`about_tokens` estimates them.
    ``gold`` is how often each label stands in the gold column, most frequent first; it is ``None`` without such
    a column, and when it holds over :data:`MAX_GOLD_LABELS` different
    values.
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
        """Whether duplicates were looked for in every row."""
        return self.compared == self.rows


def profile_table(table: Table, *, long_tokens: int, joiner: str | None = None) -> Profile:
    """Read all rows of ``table``, in memory that does not grow with it: 8 MiB, and the gold labels.

    ``joiner`` stands between several gold labels of one row. Raises what reading the table raises.
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
            # A character is a token at most, so that most texts need no count.
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

    Among half a million texts two different ones share a hash with a chance of about one in 10^8.
    """

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * _SLOTS))
        self._distinct = 0

    @property
    def full(self) -> bool:
        return self._distinct >= MAX_DISTINCT_TEXTS

    def add(self, text: str) -> bool:
        """Whether it was there already; a full set takes nothing in and knows nothing."""
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
    """Tokens of ``text``, at least 0 and at most one a character."""
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
