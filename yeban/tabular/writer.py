"""Write a table as a stream of bytes."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

from yeban.errors import InvalidRequest, msg
from yeban.tabular.xlsx_writer import write_xlsx

WriteFormat = Literal["csv", "xlsx", "jsonl"]
Cell = str | float | None

_BLOCK_CHARS = 1 << 15

# OWASP, CSV injection: characters that start a formula and their full-width forms, also after the blanks, controls and
# invisible marks that spreadsheets strip; and a leading tab or line end, which shifts the cells.
_DANGEROUS = re.compile("[\\s\\x00-\\x20\u200b\u2060\ufeff]*[=+\\-@＝＋－＠]|[\\t\\r\\n]")
_NUMBER = re.compile(r"[+-](?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


def write_table(
    format: WriteFormat,  # noqa: A002 (the word of the HTTP API and the command line)
    columns: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    *,
    guard: bool = True,
    bom: bool = True,
) -> Iterator[bytes]:
    """Yield a file in blocks of about 64 KiB, in constant memory.

    ``csv`` is RFC 4180 (comma, CRLF) in UTF-8; ``bom`` adds the byte order mark that Excel needs, and ``guard`` puts
    ``'`` before text that a spreadsheet would run as a formula. ``xlsx`` writes strings as strings and needs no guard;
    numbers have 16 digits, a cell of more than 32,767 characters is cut with a visible mark, and more than 1,048,576
    rows raise ``TooLarge``. It reads all rows into a temporary file before its first block. ``jsonl`` writes one object
    a row; columns with the name of an earlier one become ``name_2``, ``name_3``.

    ``None``, NaN and infinities are empty cells (``null`` in JSONL). Rows may be shorter or longer than the header;
    cells beyond the last column have no header, and are a list under ``extra`` in JSONL. Raises ``InvalidRequest`` for
    an unknown format.
    """
    if format == "csv":
        return _write_csv(columns, rows, guard=guard, bom=bom)
    if format == "jsonl":
        return _write_jsonl(columns, rows)
    if format == "xlsx":
        return write_xlsx(columns, rows)
    raise InvalidRequest(
        msg("The format %(format)s is unknown. Choose csv, xlsx or jsonl.", format=repr(format)), field="format"
    )


def _write_csv(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, guard: bool, bom: bool) -> Iterator[bytes]:
    buffer = io.StringIO(newline="")
    if bom:
        buffer.write("\ufeff")
    writer = csv.writer(buffer, lineterminator="\r\n")
    cell: Callable[[Cell], Cell] = _guarded_cell if guard else _plain_cell
    writer.writerow([cell(column) for column in columns])
    for row in rows:
        writer.writerow([cell(value) for value in row])
        if buffer.tell() >= _BLOCK_CHARS:
            yield _encoded(buffer.getvalue())
            buffer.seek(0)
            buffer.truncate()
    yield _encoded(buffer.getvalue())


def guarded(text: str) -> str:
    """Put ``'`` before text that a spreadsheet might run. Numbers such as ``-5`` stay. Idempotent."""
    if _DANGEROUS.match(text) is None or _NUMBER.fullmatch(text) is not None:
        return text
    return f"'{text}"


def _guarded_cell(value: Cell) -> Cell:
    return guarded(value) if isinstance(value, str) else _plain_cell(value)


def _plain_cell(value: Cell) -> Cell:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_jsonl(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[bytes]:
    keys = _distinct([*columns, "extra"])
    extra = keys.pop()
    width = len(keys)
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
    lines: list[str] = []
    chars = 0
    for row in rows:
        values = [_plain_cell(value) for value in row]
        item: dict[str, object] = dict(zip(keys, values, strict=False))
        if len(values) > width:
            item[extra] = values[width:]
        line = encode(item)
        lines.append(line)
        chars += len(line)
        if chars >= _BLOCK_CHARS:
            yield _encoded("\n".join(lines) + "\n")
            lines.clear()
            chars = 0
    if lines:
        yield _encoded("\n".join(lines) + "\n")


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, with numbers appended to repeated ones so that all are distinct."""
    taken = set(names)
    seen: set[str] = set()
    result = []
    for name in names:
        distinct, number = name, 1
        while distinct in seen or (number > 1 and distinct in taken):
            number += 1
            distinct = f"{name}_{number}"
        seen.add(distinct)
        result.append(distinct)
    return result


def _encoded(text: str) -> bytes:
    # Half a surrogate pair cannot be encoded; JSON writes the same escape for it.
    return text.encode("utf-8", "backslashreplace")
