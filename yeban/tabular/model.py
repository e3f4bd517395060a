"""What a table is to the rest of Yeban: how to read it, its header, its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Format = Literal["csv", "tsv", "xlsx", "jsonl"]

# What every reader hands to the table: the row number that the user sees, the cells as read, and
# why the row cannot be scored, where its format alone can tell.
Record = tuple[int, list[str], str | None]


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How to read a table. What is left ``None`` is found out from the file.

    ``encoding`` is any of Python's text encodings. ``delimiter`` is one character, or one of ``tab``,
    ``comma``, ``semicolon``, ``pipe`` and ``none`` (the file is one column, commas and all).
    A column is named as in the header, or as ``#3``, its number from 1. ``sheet`` is the name of an
    XLSX sheet; the first visible one is read otherwise.
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
    """What was found out about a table before its first row.

    ``columns`` are the names as read: they may be blank or occur twice. Indices count from 0.
    ``delimiter`` is ``None`` for a file of one column and for formats that have none.
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

    ``row_no`` counts data rows from 1 without gaps. ``file_row`` is the number that the user sees:
    the spreadsheet row for CSV, TSV and XLSX (the header is 1 unless blank lines precede it), the
    line for JSONL. ``text`` is what to score: the text cell with NUL characters turned into spaces;
    ``gold`` is trimmed, and ``None`` when blank. ``cells`` are all cells as read: at least one a
    column (a short row is filled with ``""``), and then those that no column has. ``problem`` says
    why the row cannot be scored; ``None`` means that it can.
    """

    row_no: int
    file_row: int
    text: str
    gold: str | None
    cells: tuple[str, ...]
    problem: str | None
