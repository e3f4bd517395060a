"""Any bytes give rows or a typed error."""

from __future__ import annotations

import io
import re
import zipfile
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.properties import examples
from yeban.errors import InvalidTable, YebanError
from yeban.tabular import ReadOptions, open_table, write_table

patient = examples(150)

SEEDS = {
    "t.csv": 'id,text\n1,"退\n款"\n2,b\n'.encode(),
    "t.gbk.csv": "编号;内容\n1;退款\n2;发货\n".encode("gb18030"),
    "t.jsonl": '{"text": "退款", "n": [1, 2.5]}\n{"text": "a"}\n'.encode(),
    "t.xlsx": b"".join(write_table("xlsx", ["text", "n"], [["退款", 0.5], ["a", 1]])),
}


def read_or_refuse(data: bytes, name: str) -> None:
    with (
        suppress(YebanError),
        open_table(io.BytesIO(data), name, ReadOptions(text_column="#1", max_rows=2_000)) as table,
    ):
        for number, row in enumerate(table, start=1):
            assert row.row_no == number
            assert len(row.cells) >= len(table.header.columns)
            assert (row.problem is None) == bool(row.text)


@patient
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode), st.sampled_from(["t.csv", "t.tsv", "t.jsonl"]))
def test_any_bytes(data, name):
    read_or_refuse(data, name)


def _damaged(data, whole: bytes) -> bytes:
    """Bytes with some of them set, cut out, put in or copied from elsewhere, or without their end."""
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        match data.draw(st.sampled_from(["set", "cut", "insert", "copy", "end"])):
            case "set":
                changed[at] = data.draw(st.integers(0, 255))
            case "cut":
                del changed[at : at + data.draw(st.integers(1, 9))]
            case "insert":
                changed[at:at] = data.draw(st.binary(min_size=1, max_size=9))
            case "copy":
                start = data.draw(st.integers(0, len(changed) - 1))
                changed[at:at] = changed[start : start + data.draw(st.integers(1, 60))]
            case "end":
                del changed[max(1, at) :]
        if not changed:
            break
    return bytes(changed)


@pytest.mark.parametrize("name", SEEDS)
@patient
@given(data=st.data())
def test_damaged_files(name, data):
    changed = _damaged(data, SEEDS[name])
    read_or_refuse(changed, name)


@patient
@given(st.text(st.sampled_from("<>/rcvtis=\"' 0129AZé&;"), max_size=60))
def test_any_sheet(repack, xml):
    sheet = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    rows = f'<row><c t="str"><v>text</v></c></row><row>{xml}</row></sheetData></worksheet>'
    read_or_refuse(repack(SEEDS["t.xlsx"], {"xl/worksheets/sheet1.xml": (sheet + rows).encode()}), "t.xlsx")


PARTS = ["[Content_Types].xml", "xl/workbook.xml", "xl/_rels/workbook.xml.rels", "xl/styles.xml", "_rels/.rels"]


@patient
@given(data=st.data(), part=st.sampled_from([*PARTS, "xl/worksheets/sheet1.xml"]))
def test_damaged_parts_of_a_whole_archive(repack, data, part):
    with zipfile.ZipFile(io.BytesIO(SEEDS["t.xlsx"])) as archive:
        whole = archive.read(part)
    read_or_refuse(repack(SEEDS["t.xlsx"], {part: _damaged(data, whole)}), "t.xlsx")


@patient
@given(data=st.data())
def test_damaged_directories(data):
    """Sizes, checksums, offsets, methods and flags of the archive's parts, as its directory has them."""
    changed = bytearray(SEEDS["t.xlsx"])
    entries = [at.start() for at in re.finditer(b"PK\x01\x02", changed)]
    for _ in range(data.draw(st.integers(1, 3))):
        entry, field = data.draw(st.sampled_from(entries)), data.draw(st.integers(4, 45))
        changed[entry + field] = data.draw(st.integers(0, 255))
    read_or_refuse(bytes(changed), "t.xlsx")


def test_parts_that_overlap_are_no_table():
    """One deflated block, named many times, unpacks many times."""
    changed = bytearray(SEEDS["t.xlsx"])
    entries = [at.start() for at in re.finditer(b"PK\x01\x02", changed)]
    for entry in entries[1:]:
        changed[entry + 42 : entry + 46] = changed[entries[0] + 42 : entries[0] + 46]
    with pytest.raises(InvalidTable), open_table(io.BytesIO(changed), "t.xlsx", ReadOptions()):
        pass
