"""Split text into blocks of whole lines of bounded length."""

from __future__ import annotations

import io
from collections.abc import Iterator


class LineTooLong(Exception):
    """A line of more than the allowed number of characters."""


class LineBlocks:
    r"""Iterate over ``StringIO`` blocks of whole lines that end with ``\n``, ``\r\n`` or ``\r``.

    Other line ends of Unicode (U+2028, U+0085) occur within texts and do not count. ``ended`` is true after the last
    line. Raises ``LineTooLong``.
    """

    def __init__(self, blocks: Iterator[str], max_line_chars: int) -> None:
        self.ended = False
        self._blocks = blocks
        self._max_line_chars = max_line_chars
        self._text = ""
        self._lines = io.StringIO()

    def __iter__(self) -> Iterator[io.StringIO]:
        rest = ""
        for block in self._blocks:
            text = rest + block
            cut = _after_last_line_end(text)
            rest = text[cut:]
            if cut:
                yield self._hand_out(text[:cut])
            if len(rest) > self._max_line_chars:
                raise LineTooLong
        if rest:
            yield self._hand_out(rest)
        self.ended = True

    @property
    def block_chars(self) -> int:
        """Length of the current block."""
        return len(self._text)

    def last_line(self) -> str:
        """The last line that was read, with its line end."""
        end = self._lines.tell()
        body = end - 1
        if self._text[end - 2 : end] == "\r\n":
            body -= 1
        line_feed = self._text.rfind("\n", 0, body)
        return self._text[max(line_feed, self._text.rfind("\r", line_feed + 1, body)) + 1 : end]

    def _hand_out(self, text: str) -> io.StringIO:
        self._text = text
        self._lines = io.StringIO(text, newline="")
        return self._lines


def _after_last_line_end(text: str) -> int:
    """Start of the unfinished last line. A trailing ``\\r`` may be half of ``\\r\\n`` and does not count yet."""
    end = len(text) - text.endswith("\r")
    line_feed = text.rfind("\n", 0, end)
    return max(line_feed, text.rfind("\r", line_feed + 1, end)) + 1
