"""Tagged files as streamed downloads."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Literal
from urllib.parse import quote

from flask import Response

from yeban.tabular import write_table

Format = Literal["csv", "xlsx", "jsonl"]

_TYPES: dict[Format, str] = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "jsonl": "application/jsonl",
}


def download(
    source_name: str,
    ending: str,
    file_format: Format,
    columns: Sequence[str],
    rows: Iterable[Sequence[str | float | None]],
    *,
    guard: bool,
    bom: bool,
) -> Response:
    """Stream a table, named after its source. Memory does not grow with it."""
    blocks: Iterator[bytes] = iter(write_table(file_format, columns, rows, guard=guard, bom=bom))
    # The first block before the status line, so that a server that is away is an error and not a broken file.
    first = next(blocks, b"")
    response = Response(chain([first], blocks), content_type=_TYPES[file_format])
    stem = source_name.rpartition(".")[0] or source_name
    response.headers["Content-Disposition"] = disposition(f"{stem}-{ending}.{file_format}")
    response.headers["Cache-Control"] = "no-store"
    return response


def disposition(name: str, *, unnamed: str = "job") -> str:
    """Return a ``Content-Disposition`` header (RFC 6266).

    It has the name in UTF-8, and in ASCII for old clients. ``unnamed`` replaces a name that has no ASCII characters
    before its extension.
    """
    name = "".join("_" if unicodedata.category(char) in {"Cc", "Cs"} or char in "/\\" else char for char in name)
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = "".join(char if char.isalnum() or char in " -_.()" else "_" for char in plain).strip()
    if plain.startswith("-"):
        plain = f"{unnamed}{plain}"
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
