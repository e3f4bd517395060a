"""Text blocks cut at line ends, so that lines can be read at the speed of C and none without bound."""

from __future__ import annotations

import io
from collections.abc import Iterator


class LineTooLong(Exception):
    """A line that is still open after the allowed number of characters."""


class LineBlocks:
    r"""Iterate over ``StringIO`` blocks of whole lines, ended by ``\n``, ``\r\n`` or ``\r``, mixed as they may be.

    Other characters that Unicode counts as line ends (U+2028, U+0085) occur inside texts and end no
    line here. ``ended`` turns true when the last line has been read. Raises ``LineTooLong``.
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
        """Length of the block in hand."""
        return len(self._text)

    def last_line(self) -> str:
        """The line that was read last, with its end."""
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
    """Where the unfinished last line begins. A closing ``\\r`` may be half of ``\\r\\n``, so it ends no line yet."""
    end = len(text) - text.endswith("\r")
    line_feed = text.rfind("\n", 0, end)
    return max(line_feed, text.rfind("\r", line_feed + 1, end)) + 1
