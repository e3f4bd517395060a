"""Read XLSX as a stream of records with openpyxl."""

from __future__ import annotations

import math
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime, time, timedelta
from typing import Any, BinaryIO, Literal

from defusedxml.common import DefusedXmlException
from openpyxl.utils.datetime import from_excel
from openpyxl.utils.escape import unescape
from openpyxl.xml.constants import MAX_ROW

from yeban.errors import InvalidRequest, InvalidTable, YebanError, msg
from yeban.tabular.model import ReadOptions, Record
from yeban.tabular.xlsx_archive import open_workbook, read_sheets
from yeban.tabular.xlsx_guard import check_archive

# ECMA-376 part 1, 18.8.30: built-in date formats of Chinese, Japanese and Korean Excel, which openpyxl lacks.
_EAST_ASIAN_DATES = frozenset([*range(27, 37), *range(50, 59)])

_MAX_PLAIN = 1e21  # whole numbers below are written in full: they may be identifiers
_MAX_REASON_CHARS = 200


class XlsxReader:
    """Records of one sheet, from its first row.

    A row missing in the file is a blank record. A formula becomes its stored value, an error its text (``#N/A``), a
    boolean ``TRUE`` or ``FALSE``, a date ISO 8601; an empty cell, or one covered by a merged cell, becomes ``""``.
    """

    encoding = "utf-8"
    delimiter = None
    format: Literal["xlsx"] = "xlsx"

    def __init__(self, file: BinaryIO, options: ReadOptions) -> None:
        self._file = file
        self._sheet = options.sheet
        self._row = 0  # the last row that was read

    def records(self) -> Generator[Record, None, None]:
        """Yield each record once, without trailing empty cells. Raises ``InvalidTable`` or ``TooLarge``."""
        # openpyxl warns about features that it skips, such as validation rules; a table does not need them.
        warnings.filterwarnings("ignore", category=UserWarning, module="openpyxl")
        with self._damage_reported():
            check_archive(self._file)
            book = open_workbook(self._file)
            try:
                sheet = _choose(book.worksheets, self._sheet)
                # The declared size of a sheet is often wrong, and openpyxl would pad every row to it.
                sheet.reset_dimensions()
                for number, row in enumerate(sheet.iter_rows(), start=1):
                    if number > MAX_ROW:
                        raise InvalidTable(
                            msg(
                                "The sheet has a row beyond %(max_row)s, the last row that Excel supports. Save "
                                "the table as CSV.",
                                max_row=MAX_ROW,
                            )
                        )
                    cells = [_text(cell, book.epoch) for cell in row]
                    while cells and not cells[-1]:
                        cells.pop()
                    self._row = number
                    yield number, cells, None
            finally:
                book.close()

    def sheets(self) -> list[tuple[str, bool]]:
        """Name and visibility of each sheet, in order. Raises ``InvalidTable`` or ``TooLarge``."""
        warnings.filterwarnings("ignore", category=UserWarning, module="openpyxl")
        with self._damage_reported():
            check_archive(self._file)
            return read_sheets(self._file)

    @contextmanager
    def _damage_reported(self) -> Iterator[None]:
        """Turn the errors of zipfile, XML and openpyxl for broken files into ``InvalidTable``."""
        try:
            yield
        except (YebanError, MemoryError):
            raise
        except Exception as error:
            cause = error.__cause__ or error
            if isinstance(cause, DefusedXmlException):
                raise InvalidTable(
                    msg(
                        "The workbook defines XML entities, which XLSX does not allow. Save it again in Excel, or "
                        "save it as CSV."
                    )
                ) from error
            reason = str(cause)[:_MAX_REASON_CHARS]
            raise InvalidTable(
                msg(
                    "The workbook is damaged after row %(row)s, or its kind is unknown (%(reason)s). Open it "
                    "in Excel and save it again as .xlsx or CSV.",
                    row=self._row,
                    reason=reason,
                )
                if self._row
                else msg(
                    "The workbook is damaged, or its kind is unknown (%(reason)s). Open it in Excel and save "
                    "it again as .xlsx or CSV.",
                    reason=reason,
                ),
                row=self._row + 1,
            ) from error


def sheet_names(file: BinaryIO) -> list[str]:
    """Names of the readable sheets, visible ones first. Raises ``InvalidTable`` or ``TooLarge``."""
    sheets = XlsxReader(file, ReadOptions()).sheets()
    return [name for name, _ in sorted(sheets, key=lambda sheet: not sheet[1])]


def _choose(sheets: list[Any], wanted: str | None) -> Any:
    """The sheet with the given name, or the first visible one."""
    if wanted is None:
        for sheet in sheets:
            if sheet.sheet_state == "visible":
                return sheet
        raise InvalidTable(
            msg(
                "The workbook has no visible sheet with cells. If Excel shows one, save it as .xlsx (not "
                "as Strict Open XML) or CSV."
            )
        )
    for sheet in sheets:
        if sheet.title == wanted:
            return sheet
    names = [sheet.title for sheet in sheets]
    raise InvalidRequest(
        msg("The workbook has no sheet “%(name)s”. Its sheets are: %(names)s.", name=wanted, names=", ".join(names)),
        field="sheet",
        sheets=names,
    )


def _text(cell: Any, epoch: datetime) -> str:
    """The text of a cell, ``""`` if it is empty. ``epoch`` is day 0 of the workbook."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, str):
        return _unescaped(value) if "_x" in value else value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        if cell.has_style and cell.style_array.numFmtId in _EAST_ASIAN_DATES:
            with suppress(ValueError, OverflowError):  # not a date: stays a number
                return _moment_text(from_excel(value, epoch))
        return _number_text(value)
    return _moment_text(value)


def _unescaped(text: str) -> str:
    """Decode Excel's ``_x000D_`` escapes and join surrogate pairs."""
    return unescape(text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _number_text(value: float) -> str:
    """A number without a trailing ``.0``."""
    if isinstance(value, float) and math.isfinite(value) and value.is_integer() and abs(value) < _MAX_PLAIN:
        return f"{value:.0f}"
    return str(value)


def _moment_text(value: date | time | timedelta) -> str:
    """A date or time in ISO 8601 to the millisecond; a duration as ``h:mm:ss``."""
    if isinstance(value, timedelta):
        return _duration_text(value)
    if isinstance(value, datetime) and value.time() == time():
        value = value.date()
    if isinstance(value, datetime | time):
        return value.isoformat(timespec="milliseconds").removesuffix(".000")
    return value.isoformat()


def _duration_text(value: timedelta) -> str:
    seconds, milliseconds = divmod(round(abs(value) / timedelta(milliseconds=1)), 1000)
    sign = "-" if value < timedelta() else ""
    whole = f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{whole}.{milliseconds:03}" if milliseconds else whole
