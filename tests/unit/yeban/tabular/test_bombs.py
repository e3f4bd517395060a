"""Zip and XML bombs: refused or read within bounded memory and time."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterable

import pytest

from yeban.tabular import write_table

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
SHEET = "xl/worksheets/sheet1.xml"
MIB = 1 << 20
TIME_S = 60  # of the processor; a bomb that is refused takes a few seconds
EXTRA_MEMORY_BYTES = 350 * MIB

CHILD = f"""
import json, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, ({TIME_S}, {TIME_S}))
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
from yeban.errors import YebanError
from yeban.tabular import ReadOptions, open_table
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows, code = 0, None
try:
    with open(sys.argv[1], "rb") as file, open_table(file, sys.argv[1], ReadOptions(text_column="#1")) as table:
        for row in table:
            rows += 1
except YebanError as error:
    code = error.code
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([code, rows, (peak - before) * 1024]))
"""


def workbook(parts: dict[str, Iterable[bytes]], *, padding_bytes: int = 0) -> bytes:
    """A workbook with other parts; padding hides their compression ratio."""
    plain = zipfile.ZipFile(io.BytesIO(b"".join(write_table("xlsx", ["text"], [["a"]]))))
    saved = io.BytesIO()
    with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for info in plain.infolist():
            if info.filename not in parts:
                archive.writestr(info, plain.read(info))
        for name, blocks in parts.items():
            with archive.open(name, "w", force_zip64=True) as part:
                for block in blocks:
                    part.write(block)
        if padding_bytes:
            archive.writestr(zipfile.ZipInfo("xl/media/image1.png"), b"\x89PNG" + bytes(padding_bytes))
    return saved.getvalue()


def sheet(*inner: tuple[bytes, int]) -> Iterable[bytes]:
    """A sheet of a header and repeated pieces."""
    yield f'<worksheet xmlns="{MAIN}"><sheetData>'.encode()
    yield b'<row><c t="inlineStr"><is><t>text</t></is></c></row>'
    for piece, times in inner:
        many = max(1, MIB // len(piece))
        for _ in range(times // many):
            yield piece * many
        yield piece * (times % many)
    yield b"</sheetData></worksheet>"


CELL, CELL_END = b'<row><c t="inlineStr"><is><t>', b"</t></is></c></row>"
BOMBS = {
    "a large cell": ({SHEET: sheet((CELL, 1), (b"a", 30 * MIB), (CELL_END, 1))}, 0),
    "a cell that hides how well it compresses": ({SHEET: sheet((CELL, 1), (b"a", 400 * MIB), (CELL_END, 1))}, 4 * MIB),
    "a large CDATA section": (
        {SHEET: sheet((CELL + b"<![CDATA[", 1), (b"<", 400 * MIB), (b"]]>" + CELL_END, 1))},
        4 * MIB,
    ),
    "millions of columns": ({SHEET: sheet((b"<row>", 1), (b"<c/>", 4 * MIB), (b"</row>", 1))}, 0),
    "millions of columns in UTF-16": (
        {SHEET: ["".join(map(bytes.decode, sheet((b"<row>", 1), (b"<c/>", 4 * MIB)))).encode("utf-16")]},
        0,
    ),
    "deep nesting": ({SHEET: sheet((b"<row>" + b"<c>", 1), (b"<is>", 4 * MIB))}, 0),
    "elements beside the rows": ({SHEET: sheet((b"<x/>", 4 * MIB))}, 0),
    "a large attribute": ({SHEET: sheet((b'<row><c r="', 1), (b"A", 30 * MIB), (b'1"/></row>', 1))}, 0),
    "a large comment": ({SHEET: sheet((b"<!--", 1), (b"a", 30 * MIB), (b"-->", 1))}, 0),
    "a large comment before the first element": ({SHEET: [b"<!--", b"a" * (30 * MIB), b"-->", *sheet()]}, 0),
    "millions of styles": (
        {
            "xl/styles.xml": [
                f'<styleSheet xmlns="{MAIN}"><cellXfs>'.encode(),
                b"<xf/>" * (4 * MIB),
                b"</cellXfs></styleSheet>",
            ]
        },
        0,
    ),
    "millions of relations": (
        {
            "xl/_rels/workbook.xml.rels": [
                b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">',
                b"<Relationship/>" * (2 * MIB),
                b"</Relationships>",
            ]
        },
        0,
    ),
    "very many empty rows": ({SHEET: sheet((b"<row/>", 501_000), (CELL + b"end" + CELL_END, 1))}, 0),
    "far rows and columns": ({SHEET: sheet((b'<row r="20000"><c r="XFD20000"><v>1</v></c></row>', 1))}, 0),
}
READ = {"very many empty rows"}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(tmp_path, name):
    parts, padding_bytes = BOMBS[name]
    path = tmp_path / "bomb.xlsx"
    path.write_bytes(workbook(parts, padding_bytes=padding_bytes))
    assert path.stat().st_size < 16 * MIB

    found = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=False, timeout=4 * TIME_S
    )
    assert found.returncode == 0, found.stderr[-2000:]
    code, rows, memory_bytes = json.loads(found.stdout)
    assert memory_bytes < EXTRA_MEMORY_BYTES
    assert (code is None) == (name in READ), (code, rows)
