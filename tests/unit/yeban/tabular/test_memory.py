"""Memory does not grow with the file."""

from __future__ import annotations

import os
import tracemalloc

import pytest

from yeban.errors import TooLarge
from yeban.tabular import ReadOptions, open_table, write_table

ROWS = 80_000
MIB = 1 << 20
COLUMNS = ("id", "text", "label")


def rows(count=ROWS):
    for number in range(count):
        yield (str(number), f"订单 {number} 一直没有发货，请帮忙催一下，谢谢", "物流")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The same table in each format; fewer rows where tracing allocations is slow."""
    folder = tmp_path_factory.mktemp("tables")
    for format, count in (("csv", ROWS), ("jsonl", ROWS // 4), ("xlsx", ROWS // 4)):  # noqa: A001
        with (folder / f"t.{format}").open("wb") as file:
            file.writelines(write_table(format, COLUMNS, rows(count)))
    (folder / "t.gbk.csv").write_bytes((folder / "t.csv").read_bytes().decode("utf-8-sig").encode("gbk"))
    (folder / "blank.csv").write_bytes(b"id,text\n1,a\n" + b",\n\n" * ROWS)
    return folder


def peak_bytes(action):
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "count"),
    [("t.csv", ROWS), ("t.gbk.csv", ROWS), ("t.jsonl", ROWS // 4), ("t.xlsx", ROWS // 4), ("blank.csv", 1)],
)
def test_reading(files, name, count):
    read = 0

    def read_all():
        nonlocal read
        with (files / name).open("rb") as file, open_table(file, name, ReadOptions()) as table:
            for _ in table:
                read += 1

    assert peak_bytes(read_all) < 8 * MIB
    assert read == count


@pytest.mark.parametrize(("format", "count"), [("csv", ROWS), ("jsonl", ROWS // 2), ("xlsx", ROWS // 4)])
def test_writing(format, count):  # noqa: A002
    written = 0

    def write_all():
        nonlocal written
        for block in write_table(format, COLUMNS, rows(count)):
            written += len(block)

    assert peak_bytes(write_all) < 4 * MIB
    assert written > MIB // 8


def test_an_unclosed_quote_does_not_take_the_file_into_memory(tmp_path):
    path = tmp_path / "open.csv"
    path.write_bytes(b'id,text\n1,"open\n' + b"2,some text of the usual length\n" * 2_000_000)
    assert path.stat().st_size > 60 * MIB

    def read_all():
        with path.open("rb") as file, open_table(file, os.fspath(path), ReadOptions()) as table:
            for _ in table:
                pass

    def fails():
        with pytest.raises(TooLarge, match="Row 2"):
            read_all()

    assert peak_bytes(fails) < 48 * MIB
