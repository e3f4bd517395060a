"""Write a workbook of one sheet with openpyxl."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from tempfile import TemporaryFile
from typing import IO, Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.xml.constants import MAX_COLUMN, MAX_ROW

from yeban.errors import TooLarge, msg

# Data rows that fit below the header.
MAX_XLSX_ROWS = MAX_ROW - 1

_BLOCK_BYTES = 1 << 16
_MAX_CELL_UNITS = 32_767  # Excel counts UTF-16 code units
_SURELY_FITS_CHARS = _MAX_CELL_UNITS // 2

# Excel escapes characters that XML cannot hold as _x000D_; text that looks so needs its underscore escaped.
_LOOKS_ESCAPED = re.compile("_(?=x[0-9A-Fa-f]{4}_)")
_CUT_ESCAPE = re.compile("_(?:x[0-9A-Fa-f]{0,4})?$")
_SPECIAL = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]|_x[0-9A-Fa-f]{4}_")
_REPLACEMENTS = str.maketrans(
    {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n\r"}  # ␀ to ␟
    | {"\r": "_x000D_"}  # unescaped, it would be read as a line feed
    | dict.fromkeys([*range(0xD800, 0xE000), 0xFFFE, 0xFFFF], "\ufffd")
)


def write_xlsx(columns: Sequence[str], rows: Iterable[Sequence[str | float | None]]) -> Iterator[bytes]:
    """Yield a workbook of one sheet in blocks of 64 KiB; see ``write_table``.

    The workbook is written to a temporary file first. Raises ``TooLarge``, with the row, for more rows or columns than
    a sheet can hold.
    """
    with TemporaryFile() as file:
        _save(columns, rows, file)
        file.seek(0)
        while block := file.read(_BLOCK_BYTES):
            yield block


def _save(columns: Sequence[str], rows: Iterable[Sequence[str | float | None]], file: IO[bytes]) -> None:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Sheet1")
    sheet.freeze_panes = "A2"  # keeps the header visible while scrolling
    try:
        for number, row in enumerate(chain([columns], rows), start=1):
            _check_fits(number, row)
            sheet.append([_cell(sheet, value) for value in row])
        book.save(file)
    except BaseException:
        _discard(sheet)
        raise


def _discard(sheet: Any) -> None:
    """Remove the temporary file of an unsaved sheet. openpyxl keeps it until the process exits."""
    if sheet._writer is not None:
        with suppress(Exception):  # the sheet may be closed, or the disk full
            sheet.close()
        with suppress(OSError):
            sheet._writer.cleanup()


def _check_fits(number: int, row: Sequence[str | float | None]) -> None:
    if number > MAX_ROW:
        raise TooLarge(
            msg(
                "An XLSX sheet can hold %(max_xlsx_rows)s rows below its header. Use CSV.", max_xlsx_rows=MAX_XLSX_ROWS
            ),
            row=number,
            limit=MAX_XLSX_ROWS,
        )
    if len(row) > MAX_COLUMN:
        raise TooLarge(
            msg(
                "Row %(number)s has %(count)s cells; an XLSX sheet can hold %(max_column)s. Use CSV.",
                number=number,
                count=len(row),
                max_column=MAX_COLUMN,
            ),
            row=number,
            limit=MAX_COLUMN,
        )


def _cell(sheet: Any, value: str | float | None) -> Any:
    """A value for openpyxl: ``None`` for an empty cell, and never a formula."""
    if not isinstance(value, str):
        return value if value is not None and math.isfinite(value) else None
    text = value
    if _SPECIAL.search(text) is not None:
        text = _LOOKS_ESCAPED.sub("_x005F_", text).translate(_REPLACEMENTS)
    if len(text) > _SURELY_FITS_CHARS:
        text = _cut(text, len(value))
    if text.startswith(("=", "#")):
        # openpyxl would make a formula or an error of such text.
        cell = WriteOnlyCell(sheet, text)
        cell.data_type = "s"
        return cell
    return text or None


def _cut(text: str, original_chars: int) -> str:
    """The text if it fits into a cell, else its start and its length."""
    encoded = text.encode("utf-16-le")
    if len(encoded) <= 2 * _MAX_CELL_UNITS:
        return text
    mark = f" …[cut: {original_chars} characters; CSV has them all]"
    kept = encoded[: 2 * (_MAX_CELL_UNITS - len(mark))].decode("utf-16-le", "ignore")
    return _CUT_ESCAPE.sub("", kept) + mark
