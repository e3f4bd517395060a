"""Which character parts the cells of a CSV file."""

from __future__ import annotations

import csv
import io
import re
from itertools import islice

from yeban.errors import InvalidRequest, msg

# Stands for "no delimiter": the csv module insists on one, and this control character is in no text.
NO_DELIMITER = "\x1f"

_CANDIDATES = (",", "\t", ";", "|")
_NAMES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "none": NO_DELIMITER}
_SAMPLE_CHARS = 1 << 16
_SAMPLE_RECORDS = 50
_MIN_AGREEING_ROWS = 3

# Excel's own way to name the delimiter, in a first line that is no row.
_SEP_LINE = re.compile(r'"?sep=(.)"?(?:\r\n|\r|\n|$)', re.IGNORECASE)


def parse_delimiter(value: str) -> str:
    """The character meant by an option. Raises ``InvalidRequest``."""
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
    """The delimiter named by Excel's ``sep=;`` line and that line's length, if the text begins with one."""
    match = _SEP_LINE.match(text)
    if match is None or match[1] == '"' or match[1].isalnum():
        return None
    return match[1], match.end()


def find_delimiter(text: str, *, complete: bool, prefer_tab: bool = False) -> str:
    """Find the delimiter from the first block of a file; ``complete`` says that it is the whole file.

    A candidate must part the header. Among those that do, the one wins that gives most of the first
    rows as many cells as the header, then the one that gives more cells, then the order ``, \\t ; |``.
    If none parts the header, the file is one column (``NO_DELIMITER``) whatever its texts contain —
    unless three or more rows all fall into the same number of cells: then the first line is
    no header but a title, and the caller must see the rows as they are to say so.
    """
    complete = complete and len(text) <= _SAMPLE_CHARS
    sample = text[:_SAMPLE_CHARS]
    order = ("\t", ",", ";", "|") if prefer_tab else _CANDIDATES
    best, best_score = NO_DELIMITER, (0.0, 0)
    title: str | None = None
    for delimiter in order:
        widths = _widths(sample, delimiter, complete=complete)
        if not widths:
            return delimiter  # there is nothing but this delimiter
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
    """Cells in each of the first records that are not blank."""
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
    records = list(islice(reader, _SAMPLE_RECORDS + 1))
    if len(records) > 1 and (len(records) > _SAMPLE_RECORDS or not complete):
        records.pop()  # it may be cut off
    return [len(record) for record in records if any(cell.strip() for cell in record)]
