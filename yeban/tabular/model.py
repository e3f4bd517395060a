"""Types of a table: the options for reading it, its header, its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from yeban.errors import Message

Format = Literal["csv", "tsv", "xlsx", "jsonl"]

# Row number in the file, cells, and the reason why the row cannot be scored, if the format shows one.
Record = tuple[int, list[str], Message | None]


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """Options for reading a table; options that are ``None`` are detected.

    ``encoding`` is one of Python's text encodings. ``delimiter`` is one character, or one of ``tab``, ``comma``,
    ``semicolon``, ``pipe`` and ``none`` (a file of one column). A column is given by its name in the header, or by its
    number from 1, as in ``#3``. ``sheet`` is the name of an XLSX sheet; the default is the first visible one.
    """

    format: Literal["auto", "csv", "tsv", "xlsx", "jsonl"] = "auto"
    encoding: str | None = None
    delimiter: str | None = None
    text_column: str | None = None
    gold_column: str | None = None
    sheet: str | None = None
    max_cell_chars: int = 100_000
    max_columns: int = 1_000
    max_rows: int = 5_000_000


@dataclass(frozen=True, kw_only=True)
class Header:
    """Header and detected options of a table.

    ``columns`` are the names in the file, which may be blank or occur twice. Indices count from 0. ``delimiter`` is
    ``None`` for a file of one column and for formats without one.
    """

    columns: tuple[str, ...]
    text_index: int
    gold_index: int | None
    encoding: str
    delimiter: str | None
    format: Format


@dataclass(frozen=True, slots=True)
class Row:
    """One data row.

    ``row_no`` counts data rows from 1. ``file_row`` is the row number in the user's program: the spreadsheet row for
    CSV, TSV and XLSX (the header is row 1 unless blank lines precede it), the line for JSONL. ``text`` is the text cell
    with spaces for NUL characters; ``gold`` is trimmed, and ``None`` when blank. ``cells`` are all cells: at least one
    for each column (``""`` in short rows), then cells beyond the last column. ``problem`` is the reason why the row
    cannot be scored, or ``None``.
    """

    row_no: int
    file_row: int
    text: str
    gold: str | None
    cells: tuple[str, ...]
    problem: Message | None
