"""Read bytes as a table; build workbooks."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import openpyxl
import pytest

from yeban.tabular import Header, ReadOptions, Row, open_table


@dataclass(frozen=True)
class Read:
    """A whole table."""

    header: Header
    rows: list[Row]

    @property
    def cells(self) -> list[tuple[str, ...]]:
        return [row.cells for row in self.rows]

    @property
    def texts(self) -> list[str]:
        return [row.text for row in self.rows]


@pytest.fixture(scope="session")
def read() -> Callable[..., Read]:
    """``read(data, name, **options)`` gives header and rows; a ``str`` is encoded as UTF-8."""

    def read_all(data: bytes | str, name: str = "tickets.csv", **options: Any) -> Read:
        raw = data.encode("utf-8") if isinstance(data, str) else data
        with open_table(io.BytesIO(raw), name, ReadOptions(**options)) as table:
            return Read(table.header, list(table))

    return read_all


@pytest.fixture(scope="session")
def workbook() -> Callable[..., bytes]:
    """``workbook(rows, setup)``: what openpyxl saves; ``setup(book)`` may change it before."""

    def build(rows: Iterable[Sequence[Any]], setup: Callable[[Any], None] | None = None) -> bytes:
        book = openpyxl.Workbook()
        sheet = book.active
        for row in rows:
            sheet.append(list(row))
        if setup is not None:
            setup(book)
        saved = io.BytesIO()
        book.save(saved)
        return saved.getvalue()

    return build


@pytest.fixture(scope="session")
def repack() -> Callable[..., bytes]:
    """``repack(xlsx, {part: bytes | None})`` replaces, adds or removes parts of an archive."""

    def build(archive: bytes, changes: dict[str, bytes | None]) -> bytes:
        saved = io.BytesIO()
        with (
            zipfile.ZipFile(io.BytesIO(archive)) as source,
            zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as target,
        ):
            for info in source.infolist():
                if info.filename not in changes:
                    target.writestr(info, source.read(info))
            for part, data in changes.items():
                if data is not None:
                    target.writestr(part, data)
        return saved.getvalue()

    return build
