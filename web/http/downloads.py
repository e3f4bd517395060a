"""Tagged files as streamed downloads."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, islice
from typing import Literal
from urllib.parse import quote

from flask import Response

from web.services import services
from yeban.tabular import write_table

Format = Literal["csv", "xlsx", "jsonl"]

_TYPES: dict[Format, str] = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "jsonl": "application/jsonl",
}

#: Downloads that read rows at a time: more would keep the interpreter from short requests.
_READING = threading.BoundedSemaphore(2)
_BATCH_ROWS = 256


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
    """Stream a table, named after its source. Memory does not grow with it.

    Raises :class:`~yeban.errors.Overloaded` while too many downloads are in progress.
    """
    with ExitStack() as place:
        place.enter_context(services().downloads.admit())
        blocks = iter(write_table(file_format, columns, _in_turn(rows), guard=guard, bom=bom))
        # Make the first block before the status line, so that an unreachable server is an error and not a broken file.
        first = next(blocks, b"")
        response = Response(chain([first], blocks), content_type=_TYPES[file_format])
        response.call_on_close(place.pop_all().close)
    stem = source_name.rpartition(".")[0] or source_name
    response.headers["Content-Disposition"] = disposition(f"{stem}-{ending}.{file_format}")
    response.headers["Cache-Control"] = "no-store"
    return response


def _in_turn(rows: Iterable[Sequence[str | float | None]]) -> Iterator[Sequence[str | float | None]]:
    remaining = iter(rows)
    while True:
        with _READING:
            batch = list(islice(remaining, _BATCH_ROWS))
        if not batch:
            return
        yield from batch


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
