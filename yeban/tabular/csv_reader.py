"""Read CSV and TSV as a stream of records."""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterator
from itertools import chain
from typing import BinaryIO, Literal

from yeban.errors import InvalidTable, TooLarge, msg
from yeban.tabular.dialect import NO_DELIMITER, find_delimiter, parse_delimiter, sep_line
from yeban.tabular.encodings import Undecodable, text_blocks
from yeban.tabular.lines import LineBlocks, LineTooLong
from yeban.tabular.model import ReadOptions, Record

_MIN_RECORD_CHARS_LIMIT = 1 << 22
# The csv module's limit is global, so the table checks the length of cells.
_CSV_FIELD_CHARS = 2**31 - 1


class CsvReader:
    """Records of a CSV or TSV file, including blank ones.

    Quotes follow RFC 4180. A stray quote within one line (``"urgent" order``) is read as Excel does; a stray quote that
    spans lines is an error, because it may have swallowed rows.
    """

    def __init__(self, file: BinaryIO, encoding: str, options: ReadOptions, *, prefer_tab: bool = False) -> None:
        self.encoding = encoding
        self._file = file
        # An unclosed quote would read the rest of the file into memory.
        self._max_record_chars = max(_MIN_RECORD_CHARS_LIMIT, 2 * options.max_cell_chars)
        self._skip_chars = 0
        self._separator = self._find_separator(options, prefer_tab=prefer_tab)
        self._record_line = 0  # the line on which the last record ended
        self._reader = csv.reader(())

    @property
    def delimiter(self) -> str | None:
        return None if self._separator == NO_DELIMITER else self._separator

    @property
    def format(self) -> Literal["csv", "tsv"]:
        return "tsv" if self._separator == "\t" else "csv"

    @property
    def _next_line(self) -> int:
        return self._record_line + (2 if self._skip_chars else 1)

    def records(self) -> Generator[Record, None, None]:
        """Yield each record once. Raises ``InvalidTable`` or ``TooLarge`` with its row."""
        try:
            yield from self._records()
        finally:
            # The reader refers back to this object; without this, the cycle keeps its lines in memory.
            self._reader = csv.reader(())

    def _records(self) -> Iterator[Record]:
        csv.field_size_limit(_CSV_FIELD_CHARS)
        lines = LineBlocks(self._text(), self._max_record_chars)
        self._reader = csv.reader(chain.from_iterable(self._bounded(lines)), delimiter=self._separator, strict=True)
        self._record_line = 0
        row = 0
        while True:
            try:
                for cells in self._reader:
                    row += 1
                    self._record_line = self._reader.line_num
                    yield row, cells, None
                return
            except csv.Error as error:
                row += 1
                cells = self._read_leniently(lines, row, error)
                self._record_line = self._reader.line_num
            except Undecodable as error:
                raise undecodable(error, row + 1) from error
            except LineTooLong as error:
                raise self._record_too_long(row + 1) from error
            yield row, cells, None

    def _find_separator(self, options: ReadOptions, *, prefer_tab: bool) -> str:
        blocks = text_blocks(self._file, self.encoding)
        text, more = "", ""
        try:
            text = next(blocks, "")
            more = next(blocks, "")
        except Undecodable:
            more = "…"
        named = sep_line(text)
        if named is not None:
            self._skip_chars = named[1]
        if options.delimiter:
            return parse_delimiter(options.delimiter)
        if options.format == "tsv":
            return "\t"
        if named is not None:
            return named[0]
        return find_delimiter(text[self._skip_chars :], complete=not more, prefer_tab=prefer_tab)

    def _text(self) -> Iterator[str]:
        blocks = text_blocks(self._file, self.encoding)
        first = next(blocks, "")
        yield first[self._skip_chars :]
        yield from blocks

    def _bounded(self, lines: LineBlocks) -> Iterator[Iterator[str]]:
        """Yield blocks until one record spans too many of them. Raises ``LineTooLong``."""
        open_chars = 0
        block_line = 0
        for block in lines:
            if self._record_line > block_line:
                open_chars = 0
            if open_chars > self._max_record_chars:
                raise LineTooLong
            block_line = self._reader.line_num
            open_chars += lines.block_chars
            yield block

    def _read_leniently(self, lines: LineBlocks, row: int, error: csv.Error) -> list[str]:
        """Cells of a line that strict parsing refused. Raises ``InvalidTable`` if a quote spans lines."""
        line = self._next_line
        if lines.ended:
            raise InvalidTable(
                msg(
                    "Row %(row)s (line %(line)s): a quote opens here and is never closed. Close it, or write "
                    '"" for a quote within a cell.',
                    row=row,
                    line=line,
                ),
                row=row,
                line=line,
            ) from error
        if self._reader.line_num == self._record_line + 1:
            # Two records mean that the first line leaves no quote open.
            records = list(csv.reader([lines.last_line(), "-"], delimiter=self._separator))
            if len(records) == 2:
                return records[0]
        raise InvalidTable(
            msg(
                "Row %(row)s (line %(line)s): a quote opens here and closes in the middle of another cell, "
                'on line %(last_line)s. Write "" for a quote within a cell.',
                row=row,
                line=line,
                last_line=line + self._reader.line_num - self._record_line - 1,
            ),
            row=row,
            line=line,
        ) from error

    def _record_too_long(self, row: int) -> TooLarge:
        line = self._next_line
        return TooLarge(
            msg(
                "Row %(row)s (line %(line)s) does not end within %(max_record_chars)s characters. It "
                "probably opens a quote that is never closed.",
                row=row,
                line=line,
                max_record_chars=self._max_record_chars,
            ),
            row=row,
            line=line,
            limit=self._max_record_chars,
        )


def undecodable(error: Undecodable, row: int) -> InvalidTable:
    """The error for an invalid byte in ``row``."""
    return InvalidTable(
        msg(
            "Row %(row)s: byte %(offset)s of the file is not valid %(encoding)s. Save the file as UTF-8, or "
            "choose its actual encoding.",
            row=row,
            offset=error.offset,
            encoding=error.encoding.upper(),
        ),
        row=row,
        offset=error.offset,
        encoding=error.encoding,
    )
