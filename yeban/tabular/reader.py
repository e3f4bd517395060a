"""Open a table: its header, then its rows as a stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from itertools import chain, islice
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from yeban.errors import InvalidRequest, InvalidTable, Message, TooLarge, msg
from yeban.tabular.columns import find_gold_column, find_text_column
from yeban.tabular.csv_reader import CsvReader
from yeban.tabular.detection import is_xlsx, text_format
from yeban.tabular.encodings import find_encoding
from yeban.tabular.jsonl_reader import JsonLinesReader
from yeban.tabular.model import Format, Header, ReadOptions, Record, Row
from yeban.tabular.xlsx_reader import XlsxReader

# Blank rows are held back until another row follows; a file of blank rows must not fill the memory.
_MAX_HELD_RUNS = 1_000
# A file of line ends only would otherwise be read to its end.
_MAX_BLANK_BEFORE_HEADER = 100_000


class _Reader(Protocol):
    """A reader of one format. The first record that is not blank is the header."""

    @property
    def encoding(self) -> str: ...
    @property
    def delimiter(self) -> str | None: ...
    @property
    def format(self) -> Format: ...
    def records(self) -> Generator[Record, None, None]: ...


class Table:
    """An open table. Its rows can be iterated once; a second loop continues where the first stopped.

    Iterating raises ``InvalidTable`` or ``TooLarge`` for an error of the file; an error of one row is that row's
    ``problem``. Closing the table leaves the file open.
    """

    def __init__(self, header: Header, rows: Iterator[Row], records: Generator[Record, None, None]) -> None:
        self.header = header
        self._rows = rows
        self._records = records

    def __iter__(self) -> Iterator[Row]:
        return self._rows

    def __next__(self) -> Row:
        return next(self._rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the reader's memory, for XLSX the texts of the workbook."""
        self._records.close()


def open_table(file: BinaryIO, name: str, options: ReadOptions) -> Table:
    """Open a seekable binary file as a table.

    ``name`` is the name of the user's file. Reads the whole file once to check its encoding (CSV, TSV, JSONL), then up
    to its first data row. Raises ``InvalidTable`` with the row, ``UnknownColumn`` with the columns, ``TooLarge`` with
    the limit, and ``InvalidRequest`` for an invalid option.
    """
    reader = _open_reader(file, name, options)
    records = reader.records()
    try:
        columns = _read_header(records, options)
        ahead = _read_ahead(records)
        header = _header(reader, columns, ahead, options)
        filled = chain(ahead, records)
        rows = _rows(filled if reader.format == "jsonl" else _without_blank_end(filled), header, options)
        first_row = next(rows, None)
        if first_row is None:
            raise InvalidTable(msg("The file has a header but no data rows."))
    except BaseException:
        records.close()
        raise
    return Table(header, chain([first_row], rows), records)


def _open_reader(file: BinaryIO, name: str, options: ReadOptions) -> _Reader:
    if is_xlsx(file, options):
        return XlsxReader(file, options)
    if options.sheet is not None:
        raise InvalidRequest(msg("Only an XLSX file has sheets."), field="sheet")
    encoding = find_encoding(file, options.encoding)
    text = text_format(file, encoding.name, name, options)
    reader: _Reader
    if text == "jsonl":
        reader = JsonLinesReader(file, encoding.name, options)
    else:
        reader = CsvReader(file, encoding.name, options, prefer_tab=text == "tsv")
    if encoding.bad_byte is not None:
        # Reading up to the bad byte raises an error with its row.
        deque(reader.records(), maxlen=0)
    return reader


def _header(reader: _Reader, columns: tuple[str, ...], ahead: list[Record], options: ReadOptions) -> Header:
    """Find the columns. The width of the first row may reveal a title above the header, which JSONL cannot have."""
    first_row = None
    if ahead and reader.format != "jsonl":
        file_row, cells, _ = ahead[-1]
        first_row = (file_row, len(cells))
    text_index = find_text_column(columns, options.text_column, first_row=first_row)
    return Header(
        columns=columns,
        text_index=text_index,
        gold_index=find_gold_column(columns, options.gold_column, text_index=text_index),
        encoding=reader.encoding,
        delimiter=reader.delimiter,
        format=reader.format,
    )


def _read_header(records: Iterator[Record], options: ReadOptions) -> tuple[str, ...]:
    for file_row, cells, _ in records:
        if _has_content(cells):
            _check_limits(cells, file_row, options)
            return tuple(cells)
        if file_row >= _MAX_BLANK_BEFORE_HEADER:
            raise InvalidTable(
                msg("The file has no header: its first %(file_row)s lines are blank.", file_row=file_row)
            )
    raise InvalidTable(msg("The file has no header: all its lines are blank."))


def _read_ahead(records: Iterator[Record]) -> list[Record]:
    """Records up to the first that is not blank, within a limit."""
    ahead = []
    for record in islice(records, _MAX_HELD_RUNS):
        ahead.append(record)
        if _has_content(record[1]):
            break
    return ahead


def _without_blank_end(records: Iterator[Record]) -> Iterator[Record]:
    """Drop trailing blank records. Other blank records are yielded before the next record with content."""
    held: list[tuple[range, list[str]]] = []  # runs of equal records: a sheet may end with a million
    for record in records:
        row, cells, _ = record
        has_content = _has_content(cells)
        if not has_content:
            cells = cells if any(cells) else []  # equal for any number of empty cells
            if held and held[-1][1] == cells:
                held[-1] = (range(held[-1][0].start, row + 1), cells)
            else:
                held.append((range(row, row + 1), cells))
        if held and (has_content or len(held) >= _MAX_HELD_RUNS):
            for run, blank in held:
                for blank_row in run:
                    yield blank_row, blank.copy(), None
            held.clear()
        if has_content:
            yield record


def _rows(records: Iterator[Record], header: Header, options: ReadOptions) -> Iterator[Row]:
    """Turn records into rows: number them, pad short ones, note problems."""
    width, text_index, gold_index = len(header.columns), header.text_index, header.gold_index
    max_cell_chars, max_rows = options.max_cell_chars, options.max_rows
    for row_no, (file_row, cells, found_problem) in enumerate(records, start=1):
        if row_no > max_rows:
            raise TooLarge(
                msg(
                    "Row %(file_row)s exceeds the limit of %(max_rows)s data rows. Split the file.",
                    file_row=file_row,
                    max_rows=max_rows,
                ),
                row=file_row,
                limit=max_rows,
            )
        problem = found_problem
        read = len(cells)
        if read < width:
            cells.extend([""] * (width - read))
        if read > width or max(map(len, cells)) > max_cell_chars:
            _check_limits(cells, file_row, options)
        text = cells[text_index]
        if "\x00" in text:
            text = text.replace("\x00", " ")
        if not text or text.isspace():
            text = ""
            if problem is None:
                problem = _empty_problem(cells, read, header)
        gold = None if gold_index is None else cells[gold_index].replace("\x00", " ").strip() or None
        yield Row(row_no, file_row, text, gold, tuple(cells), problem)


def _empty_problem(cells: list[str], read: int, header: Header) -> Message:
    if read <= header.text_index and _has_content(cells):
        return (
            msg("%(read)s cells where the header has %(columns)s", read=read, columns=len(header.columns))
            if read > 1
            else msg("%(read)s cell where the header has %(columns)s", read=read, columns=len(header.columns))
        )
    return msg("empty text")


def _has_content(cells: list[str]) -> bool:
    return any(map(str.strip, cells))


def _check_limits(cells: list[str], file_row: int, options: ReadOptions) -> None:
    """Raise ``TooLarge`` for too many cells or too long a cell."""
    if len(cells) > options.max_columns:
        raise TooLarge(
            msg(
                "Row %(file_row)s has %(count)s cells; the limit is %(max_columns)s.",
                file_row=file_row,
                count=len(cells),
                max_columns=options.max_columns,
            ),
            row=file_row,
            limit=options.max_columns,
        )
    for number, cell in enumerate(cells, start=1):
        if len(cell) > options.max_cell_chars:
            raise TooLarge(
                msg(
                    "Row %(file_row)s, column #%(number)s: one cell has %(count)s characters; the limit is "
                    "%(max_cell_chars)s. If your text is shorter, a quote may not be closed there.",
                    file_row=file_row,
                    number=number,
                    count=len(cell),
                    max_cell_chars=options.max_cell_chars,
                ),
                row=file_row,
                column=number,
                limit=options.max_cell_chars,
            )
