"""Bound the memory that openpyxl needs for one unit of a workbook.

openpyxl keeps one row of a sheet, one shared string, or the whole of a smaller part at a time. The archive here limits
the bytes of each such unit and its elements, which take far more memory than bytes.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO

from openpyxl import Workbook
from openpyxl.cell.text import Text
from openpyxl.reader.excel import ExcelReader
from openpyxl.xml.constants import SHARED_STRINGS, SHEET_MAIN_NS
from openpyxl.xml.functions import iterparse

from yeban.errors import TooLarge, msg

# A row of all 16,384 columns has under 200,000 tags, and style sheets have fewer than this.
_MAX_UNIT_TAGS = 500_000
_MAX_UNIT_BYTES = 8 << 20
_BLOCK_BYTES = 1 << 16
# Each takes about 150 bytes of memory beside its text.
_MAX_SHARED_STRINGS = 2_000_000
# End of a unit that openpyxl reads as a stream; it may span two blocks.
_END_OF_UNIT = re.compile(
    rb"</(?:[^<>/\s]{1,40}:)?(?:row|si)\s{0,9}>|<(?:[^<>/\s]{1,40}:)?(?:row|si)(?:\s[^<>]{0,400})?/>"
)
_MAX_END_BYTES = 500
_STRING = f"{{{SHEET_MAIN_NS}}}si"


def open_workbook(file: BinaryIO) -> Workbook:
    """Open a workbook as a stream, with values in place of formulas.

    Raises ``TooLarge``, now or while rows are read, and the errors of zipfile, XML and openpyxl for broken files.
    """
    reader = _Reader(file)
    reader.read()
    return reader.wb


def read_sheets(file: BinaryIO) -> list[tuple[str, bool]]:
    """Name and visibility of each sheet, in order, without reading texts or rows.

    Raises as :func:`open_workbook` does.
    """
    reader = _Reader(file)
    reader.read_manifest()
    reader.read_workbook()
    return [
        (sheet.name, sheet.state == "visible")
        for sheet, relation in reader.parser.find_sheets()
        if relation.target in reader.valid_files and "chartsheet" not in relation.Type
    ]


class _Reader(ExcelReader):
    """Limits shared strings, and keeps ``x005F_`` in them, which openpyxl removes even in text."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, read_only=True, data_only=True, keep_links=False)
        self.archive = _WatchedArchive(file)

    def read_strings(self) -> None:
        part = self.package.find(SHARED_STRINGS)  # type: ignore[no-untyped-call]
        if part is None:
            return
        with self.archive.open(part.PartName[1:]) as stream:
            for _, node in iterparse(stream):
                if node.tag == _STRING:
                    text: Any = Text.from_tree(node)
                    self.shared_strings.append(text.content)
                    if len(self.shared_strings) > _MAX_SHARED_STRINGS:
                        raise TooLarge(
                            msg(
                                "The workbook has more than %(max_shared_strings)s different texts. Save the table as "
                                "CSV.",
                                max_shared_strings=format(_MAX_SHARED_STRINGS, ","),
                            ),
                            limit=_MAX_SHARED_STRINGS,
                        )
                    node.clear()


class _WatchedArchive(zipfile.ZipFile):
    """An archive whose parts are read through :class:`_Watch`."""

    def open(self, *args: Any, **options: Any) -> Any:
        stream = super().open(*args, **options)
        watch, read = _Watch(), stream.read

        def watched(size: int | None = -1) -> bytes:
            return _read_watched(read, watch, size)

        stream.read = watched  # type: ignore[method-assign]
        return stream


class _Watch:
    """Counts bytes and tags since the end of the last row or string."""

    def __init__(self) -> None:
        self._tags = self._bytes = 0
        self._end = b""

    def see(self, block: bytes) -> None:
        """Count a block. Raises ``TooLarge``."""
        # UTF-16 has a NUL beside each ASCII character; UTF-8 has none.
        block = block.replace(b"\0", b"")
        seen = self._end + block
        ends = list(_END_OF_UNIT.finditer(seen))
        if ends:
            block = seen[ends[-1].end() :]
            self._tags = self._bytes = 0
        self._tags += block.count(b"<")
        self._bytes += len(block)
        self._end = seen[-_MAX_END_BYTES:] if not ends else block[-_MAX_END_BYTES:]
        if self._tags > _MAX_UNIT_TAGS or self._bytes > _MAX_UNIT_BYTES:
            raise TooLarge(
                msg(
                    "A row or text of the workbook has more than %(megabytes)s MiB or %(max_unit_tags)s "
                    "elements. Save the table as CSV.",
                    megabytes=_MAX_UNIT_BYTES >> 20,
                    max_unit_tags=format(_MAX_UNIT_TAGS, ","),
                ),
                limit=_MAX_UNIT_BYTES,
            )


def _read_watched(read: Callable[[int], bytes], watch: _Watch, size: int | None) -> bytes:
    if size is not None and 0 <= size <= _BLOCK_BYTES:
        block = read(size)
        watch.see(block)
        return block
    blocks = []
    left = None if size is None or size < 0 else size
    while left is None or left > 0:
        block = read(_BLOCK_BYTES if left is None else min(left, _BLOCK_BYTES))
        if not block:
            break
        watch.see(block)
        blocks.append(block)
        left = None if left is None else left - len(block)
    return b"".join(blocks)
