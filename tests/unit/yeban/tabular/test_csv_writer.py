"""CSV as written, and the formula guard."""

from __future__ import annotations

import csv
import io

import pytest

from yeban.errors import InvalidRequest
from yeban.tabular import write_table


def written(columns, rows, **options) -> str:
    return b"".join(write_table("csv", columns, rows, **options)).decode("utf-8")


def test_rfc_4180_with_a_byte_order_mark():
    data = written(["id", "内容"], [["1", 'a,"b"\nc'], ["2", "退款"]])

    assert data == '\ufeffid,内容\r\n1,"a,""b""\nc"\r\n2,退款\r\n'


def test_without_a_byte_order_mark():
    assert written(["a"], [["b"]], bom=False) == "a\r\nb\r\n"


def test_numbers_and_empty_cells():
    data = written(list("abcdef"), [[None, -0.5, 1, 1e-07, float("nan"), float("inf")]], bom=False)

    assert data.splitlines()[1] == ",-0.5,1,1e-07,,"


def test_short_and_long_rows_stay_as_they_are():
    assert written(["a", "b"], [["1"], ["1", "2", "3"]], bom=False) == "a,b\r\n1\r\n1,2,3\r\n"


DANGEROUS = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "\nx",
    "＝1+1",
    "＋1",
    "－x",
    "＠x",
    "  =1",
    "\n =1",
    "\u00a0=1",
    "\u3000＝1",
    "\u200b=1",
    "\ufeff@x",
    "\x00=1",
    "-",
    "+86 138 0000 0000",
    "-1-1",
    "-5%",
    "--5",
    "-5\n",
    "-٥",
    "+1,000",
    "-1e9999",
]


@pytest.mark.parametrize("text", DANGEROUS)
def test_what_might_run_gets_an_apostrophe(text):
    rows = list(csv.reader(io.StringIO(written([text, "x"], [["x", text]], bom=False), newline="")))

    assert rows == [["'" + text, "x"], ["x", "'" + text]]


@pytest.mark.parametrize(
    "text",
    [
        "-5",
        "+3.2",
        "-.5",
        "+1.",
        "-1e-7",
        "-1E+10",
        "5",
        "a=b",
        "退款-发货",
        "'=1",
        "",
        " x",
        "(-5)",
        "你好＝",
        "1-2",
        "“=1”",
    ],
)
def test_what_is_harmless_stays(text):
    assert list(csv.reader(io.StringIO(written(["x", text], [[text, "x"]], bom=False), newline=""))) == [
        ["x", text],
        [text, "x"],
    ]


def test_the_guard_can_be_left_out():
    for text in DANGEROUS:
        data = written(["a", "b"], [["x", text]], bom=False, guard=False)
        assert list(csv.reader(io.StringIO(data, newline="")))[1] == ["x", text]


def test_half_a_surrogate_pair_does_not_stop_the_export():
    assert written(["a"], [["x\ud83d"]], bom=False) == "a\r\nx\\ud83d\r\n"


def test_an_unknown_format_is_refused_at_once():
    with pytest.raises(InvalidRequest, match="Choose csv, xlsx or jsonl"):
        write_table("ods", ["a"], [])


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_blocks_are_even_and_come_while_rows_do(format):  # noqa: A002
    taken = 0

    def rows():
        nonlocal taken
        for number in range(60_000):
            taken += 1
            yield [str(number * 7919 % 100_003), f"退款 {number * 104_729 % 1_000_003}", 0.25]

    blocks = write_table(format, ["id", "text", "score"], rows())
    sizes = [len(next(blocks))]
    assert 0 < taken < 30_000
    sizes += [len(block) for block in blocks]
    assert taken == 60_000
    assert max(sizes) < 200_000
    assert min(sizes[:-1]) > 20_000
