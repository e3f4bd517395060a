"""Generated files of every encoding and dialect: each cell and each row number is read unchanged."""

from __future__ import annotations

import codecs
import functools
import io
import math
from collections.abc import Sequence

import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.properties import examples
from yeban.tabular import ReadOptions, open_table

Records = list[list[str]]

#: As users name them, and with the byte order mark that such files have.
ENCODINGS = [
    ("utf-8", b""),
    ("utf-8", codecs.BOM_UTF8),
    ("utf-16", codecs.BOM_UTF16_LE),
    ("utf-16", codecs.BOM_UTF16_BE),
    ("utf-16-le", b""),
    ("utf-16-be", b""),
    ("utf-32", codecs.BOM_UTF32_LE),
    ("gb18030", b""),
    ("gbk", b""),
    ("gb2312", b""),
    ("big5", b""),
    ("big5hkscs", b""),
    ("cp950", b""),
    ("shift_jis", b""),
    ("cp932", b""),
    ("euc-jp", b""),
    ("euc-kr", b""),
    ("cp949", b""),
    ("latin-1", b""),
    ("cp1252", b""),
    ("koi8-r", b""),
]
DELIMITERS = [",", "\t", ";", "|", "^", "、"]
BREAKING = ["", '"', '""', "\n", "\r", "\r\n", " ", "\x00", "'", "=1", "\\", "x"]


@functools.cache
def repertoire(encoding: str) -> list[str]:
    """The characters that survive a round trip through an encoding."""

    def kept(char: str) -> bool:
        try:
            return char.encode(encoding).decode(encoding) == char
        except UnicodeError:
            return False

    return [char for char in map(chr, range(0x10000)) if kept(char) and char != "\ufeff"]


@st.composite
def sheets(draw: st.DrawFn, chars: Sequence[str], special: Sequence[str]) -> Records:
    """Records of a spreadsheet: ragged and blank ones, blank and repeated names."""
    char = st.sampled_from(chars)
    cell = st.lists(st.sampled_from(special) | char, max_size=6).map("".join)
    header = [f"x{draw(cell)}", *draw(st.lists(cell | st.just("twice"), max_size=3))]
    filled = st.lists(cell, min_size=1, max_size=5)
    records = draw(st.lists(filled | st.just([]) | st.just(["", ""]) | st.just([" "]), max_size=8))
    return [*([[]] * draw(st.integers(0, 2))), header, *records, ["last", *draw(st.lists(cell, max_size=3))]]


def expected_of(records: Records) -> list[tuple[int, tuple[str, ...]]]:
    """Expected row numbers and cells, the header first."""
    numbered = [(number, record) for number, record in enumerate(records, start=1)]
    while not any(cell.strip() for cell in numbered[0][1]):
        del numbered[0]
    width = len(numbered[0][1])
    read = [(numbered[0][0], tuple(numbered[0][1]))]
    for number, record in numbered[1:]:
        cells = record if any(record) else []
        read.append((number, (*cells, *[""] * (width - len(cells)))))
    return read


def read(data: bytes, name: str, **options: object) -> list[tuple[int, tuple[str, ...]]]:
    chosen = ReadOptions(text_column="#1", **options)  # type: ignore[arg-type]
    with open_table(io.BytesIO(data), name, chosen) as table:
        rows = [(row.file_row, row.cells) for row in table]
        return [(0, table.header.columns), *rows]


def quoted(cell: str, delimiter: str, *, always: bool) -> str:
    if always or not cell or any(char in cell for char in f'"\r\n{delimiter}'):
        return f'"{cell.replace(chr(34), chr(34) * 2)}"'
    return cell


@pytest.mark.parametrize(("encoding", "mark"), ENCODINGS, ids=lambda value: value if isinstance(value, str) else None)
@given(data=st.data())
@examples(12)
def test_every_encoding_and_dialect(encoding, mark, data):
    chars = repertoire(encoding)
    delimiter = data.draw(st.sampled_from([one for one in DELIMITERS if one in chars]))
    always = data.draw(st.booleans())
    end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    records = data.draw(sheets(chars, [one for one in [*BREAKING, delimiter] if set(one) <= set(chars)]))
    lines = [delimiter.join(quoted(cell, delimiter, always=always) for cell in record) for record in records]
    text = end.join(lines) + data.draw(st.sampled_from(["", end]))
    codec = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be", codecs.BOM_UTF32_LE: "utf-32-le"}
    found = read(mark + text.encode(codec.get(mark, encoding)), "t.csv", encoding=encoding, delimiter=delimiter)

    header, *rows = expected_of(records)
    assert found == [(0, header[1]), *rows]


@given(data=st.data(), in_table=st.booleans())
@examples(60)
def test_a_workbook_that_we_did_not_write(data, in_table):
    chars = [char for char in repertoire("utf-8") if char not in "\ufffe\uffff"]
    special = ["_x", "=1", "\t", "\n", "\x00", "\x1f", "<&>", "#N/A", " "]
    # Texts are in a table beside the sheet, or in its cells, where XlsxWriter does not spell what looks like _x000D_.
    records = data.draw(sheets(chars, [*special, "_x000D_", "_x005F_"] if in_table else special))
    saved = io.BytesIO()
    with xlsxwriter.Workbook(saved, {"in_memory": True, "constant_memory": not in_table}) as book:
        sheet = book.add_worksheet()
        for row, record in enumerate(records):
            for column, cell in enumerate(record):
                if cell:
                    sheet.write_string(row, column, cell)
    found = read(saved.getvalue(), "t.xlsx")

    header, *rows = expected_of([_without_empty_end(record) for record in records])
    # XML reads a bare line end, and each of a pair, as one line feed.
    plain = [(number, tuple(map(_lined, cells))) for number, cells in rows]
    assert found == [(0, tuple(map(_lined, header[1]))), *plain]


def _without_empty_end(record: list[str]) -> list[str]:
    """A sheet has no empty cells at the end of a row."""
    length = max((at for at, cell in enumerate(record, start=1) if cell), default=0)
    return record[:length]


def _lined(cell: str) -> str:
    return cell.replace("\r\n", "\n").replace("\r", "\n")


@given(st.lists(st.floats(-1e307, 1e307) | st.integers(-(2**53), 2**53), min_size=1))
@examples(60)
def test_numbers_of_a_workbook_keep_their_value(numbers):
    saved = io.BytesIO()
    with xlsxwriter.Workbook(saved, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        sheet.write_string(0, 0, "text")
        for row, number in enumerate(numbers, start=1):
            sheet.write_number(row, 0, number)
    _, *rows = read(saved.getvalue(), "t.xlsx")

    # XlsxWriter stores 16 digits, as Excel does 15 to 17.
    assert all(
        math.isclose(float(cells[0]), number, rel_tol=1e-15) for (_, cells), number in zip(rows, numbers, strict=True)
    )
