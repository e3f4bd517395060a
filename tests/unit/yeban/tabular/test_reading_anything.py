"""Whatever the bytes are: rows, or one of our own errors."""

from __future__ import annotations

import io
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.properties import examples
from yeban.errors import YebanError
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


@pytest.mark.parametrize("name", SEEDS)
@patient
@given(data=st.data())
def test_damaged_files(name, data):
    changed = bytearray(SEEDS[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        match data.draw(st.sampled_from(["set", "cut", "insert", "end"])):
            case "set":
                changed[at] = data.draw(st.integers(0, 255))
            case "cut":
                del changed[at : at + data.draw(st.integers(1, 9))]
            case "insert":
                changed[at:at] = data.draw(st.binary(min_size=1, max_size=9))
            case "end":
                del changed[max(1, at) :]
        if not changed:
            break
    read_or_refuse(bytes(changed), name)


@patient
@given(st.text(st.sampled_from("<>/rcvtis=\"' 0129AZé&;"), max_size=60))
def test_any_sheet(repack, xml):
    sheet = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    rows = f'<row><c t="str"><v>text</v></c></row><row>{xml}</row></sheetData></worksheet>'
    read_or_refuse(repack(SEEDS["t.xlsx"], {"xl/worksheets/sheet1.xml": (sheet + rows).encode()}), "t.xlsx")
