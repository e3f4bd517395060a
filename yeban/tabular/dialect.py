"""Detect the delimiter of a CSV file."""

from __future__ import annotations

import csv
import io
import re
from itertools import islice

from yeban.errors import InvalidRequest, msg

# Stands for "no delimiter": the csv module requires one, and texts do not contain this control character.
NO_DELIMITER = "\x1f"

_CANDIDATES = (",", "\t", ";", "|")
_NAMES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "none": NO_DELIMITER}
_SAMPLE_CHARS = 1 << 16
_SAMPLE_RECORDS = 50
_MIN_AGREEING_ROWS = 3

# Excel's first line that names the delimiter.
_SEP_LINE = re.compile(r'"?sep=(.)"?(?:\r\n|\r|\n|$)', re.IGNORECASE)


def parse_delimiter(value: str) -> str:
    """The character of a delimiter option. Raises ``InvalidRequest``."""
    delimiter = _NAMES.get(value.lower(), value)
    allowed = delimiter in {NO_DELIMITER, "\t"} or (delimiter.isprintable() and delimiter not in '" ')
    if len(delimiter) != 1 or not allowed or delimiter.isalnum():
        raise InvalidRequest(
            msg(
                "The delimiter %(value)s must be one character such as , or ; or |, or one of: tab, "
                "comma, semicolon, pipe, none.",
                value=repr(value),
            ),
            field="delimiter",
        )
    return delimiter


def sep_line(text: str) -> tuple[str, int] | None:
    """The delimiter in Excel's ``sep=;`` line, and the length of that line."""
    match = _SEP_LINE.match(text)
    if match is None or match[1] == '"' or match[1].isalnum():
        return None
    return match[1], match.end()


def find_delimiter(text: str, *, complete: bool, prefer_tab: bool = False) -> str:
    """Detect the delimiter in the first block of a file.

    ``complete`` is true if that is the whole file. A candidate must split the header. Among those, the best one gives
    the most of the first rows as many cells as the header, then more cells, then comes first in ``, \\t ; |``. If no
    candidate splits the header, the file is one column (``NO_DELIMITER``). The exception is a file of which three or
    more rows all have the same number of cells: then the first line is a title, and the caller needs the split rows to
    report it.
    """
    complete = complete and len(text) <= _SAMPLE_CHARS
    sample = text[:_SAMPLE_CHARS]
    order = ("\t", ",", ";", "|") if prefer_tab else _CANDIDATES
    best, best_score = NO_DELIMITER, (0.0, 0)
    title: str | None = None
    for delimiter in order:
        widths = _widths(sample, delimiter, complete=complete)
        if not widths:
            return delimiter  # all records are blank
        header, rows = widths[0], widths[1:]
        if header > 1:
            agreeing = rows.count(header) / len(rows) if rows else 1.0
            if (agreeing, header) > best_score:
                best, best_score = delimiter, (agreeing, header)
        elif len(rows) >= _MIN_AGREEING_ROWS and rows[0] > 1 and rows.count(rows[0]) == len(rows):
            title = title or delimiter
    if best == NO_DELIMITER and title is not None:
        return title
    return best


def _widths(sample: str, delimiter: str, *, complete: bool) -> list[int]:
    """Numbers of cells of the first records, without blank ones."""
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
    records = list(islice(reader, _SAMPLE_RECORDS + 1))
    if len(records) > 1 and (len(records) > _SAMPLE_RECORDS or not complete):
        records.pop()  # it may be cut off
    return [len(record) for record in records if any(cell.strip() for cell in record)]
