"""Round trips: written tables read back unchanged, in every encoding and with every delimiter."""

from __future__ import annotations

import codecs
import csv
import io
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.properties import examples
from yeban.tabular import ReadOptions, open_table, write_table
from yeban.tabular.writer import guarded

thorough = examples(60)

# All that CSV can hold, with what is special to CSV made likely.
SPECIAL = st.sampled_from(
    ["", '"', '""', ",", ";", "\t", "|", "\n", "\r", "\r\n", " ", "'", "=1", "\x00", "\u2028", "退款", "𠮷", "\ufeff"]
)
ANY_CELL = st.lists(SPECIAL | st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=4).map("".join)
# Not blank: blank rows at the end are dropped by design, and a header must be found.
FIRST_CELL = ANY_CELL.map(lambda cell: f"x{cell}")


@st.composite
def tables(draw, cell=ANY_CELL, first=FIRST_CELL):
    width = draw(st.integers(1, 5))
    rows = st.tuples(first, *[cell] * (width - 1))
    return [draw(rows), *draw(st.lists(rows, min_size=1, max_size=6))]


def read_back(data: bytes, name: str = "t.csv", **options):
    with open_table(io.BytesIO(data), name, ReadOptions(text_column="#1", **options)) as table:
        rows = list(table)
        return [table.header.columns, *(row.cells for row in rows)]


@thorough
@given(tables(), st.booleans())
def test_exact_copies(table, bom):
    columns, *rows = table
    data = b"".join(write_table("csv", columns, rows, guard=False, bom=bom))

    assert read_back(data, delimiter=",", encoding="utf-8") == table


def unguarded(text: str) -> str:
    """The text without the mark of the formula guard."""
    return text[1:] if text.startswith("'") and guarded(text[1:]) == text else text


FORMULA = st.tuples(
    st.sampled_from(["", " ", "\t", "\u200b", "\ufeff", "\x00", "'"]), st.sampled_from("=+-@＝＋－＠\r")
)


@thorough
@given(tables(ANY_CELL | FORMULA.map("".join) | st.sampled_from(["-5", "+1.5e3", "-5x", "'=1"])), st.booleans())
def test_guarded_copies(table, bom):
    """Every cell reads back guarded; only a cell that looked guarded before is ambiguous."""
    columns, *rows = table
    back = read_back(b"".join(write_table("csv", columns, rows, bom=bom)), delimiter=",", encoding="utf-8")

    assert back == [tuple(map(guarded, row)) for row in table]
    for row, found in zip(table, back, strict=True):
        for cell, read in zip(row, found, strict=True):
            assert unguarded(read) == unguarded(cell)
            assert unguarded(read) == cell or cell == f"'{unguarded(cell)}"
    # The second time, nothing more is added.
    assert read_back(b"".join(write_table("csv", back[0], back[1:])), delimiter=",", encoding="utf-8") == back


@thorough
@given(tables(), st.sampled_from([",", "\t", ";", "|"]), st.sampled_from(["\r\n", "\n", "\r"]))
def test_every_delimiter(table, delimiter, end):
    saved = io.StringIO(newline="")
    csv.writer(saved, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(table)

    assert read_back(saved.getvalue().encode(), delimiter=delimiter, encoding="utf-8") == table


@pytest.mark.parametrize(
    ("mark", "codec"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
@thorough
@given(table=tables())
def test_every_marked_encoding(mark, codec, table):
    columns, *rows = table
    text = b"".join(write_table("csv", columns, rows, guard=False, bom=False)).decode()

    assert read_back(mark + text.encode(codec), delimiter=",") == table


# GB18030 is told from UTF-8 by bytes that UTF-8 cannot have: a Chinese text of some length has them.
CHINESE = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5) | st.sampled_from('a,"\n；'), max_size=12)


@thorough
@given(tables(CHINESE, CHINESE.map(lambda cell: f"工单内容，请尽快退款。{cell}")))
def test_gb18030_is_found(table):
    columns, *rows = table
    text = b"".join(write_table("csv", columns, rows, guard=False, bom=False)).decode()

    assert read_back(text.encode("gb18030"), delimiter=",") == table


@thorough
@given(st.lists(st.tuples(*[st.from_regex(r"[a-z退款 ]{1,6}", fullmatch=True)] * 3), min_size=2, max_size=8))
@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_the_delimiter_is_found_among_plain_cells(delimiter, table):
    table = [tuple(f"x{cell}" for cell in row) for row in table]
    data = "\n".join(delimiter.join(row) for row in table).encode()

    assert read_back(data, encoding="utf-8") == table


XML_CELL = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
    | st.sampled_from("\t\r\n_<&>\"'x"),
    max_size=12,
)


@thorough
@given(
    tables(
        XML_CELL | st.sampled_from(["_x000D_", "_x005F_x000D_", "_xD83D_", "=1"]), XML_CELL.map(lambda cell: f"x{cell}")
    )
)
def test_xlsx(table):
    columns, *rows = table
    data = b"".join(write_table("xlsx", columns, rows))

    back = read_back(data, "t.xlsx")
    width = len(back[0])  # blank names at the end of the header are no columns in a sheet
    trimmed = list(columns)
    while not trimmed[-1]:
        trimmed.pop()
    assert back[0] == tuple(trimmed)
    for row, cells in zip(rows, back[1:], strict=True):
        assert cells[:width] == row[:width]
        assert [*cells, *[""] * len(row)][: len(row)] == list(row)


@thorough
@given(tables())
def test_jsonl(table):
    columns = [f"{number}{name}" for number, name in enumerate(table[0])]
    data = b"".join(write_table("jsonl", columns, table[1:]))

    assert read_back(data, "t.jsonl", encoding="utf-8") == [tuple(columns), *table[1:]]


@thorough
@given(
    st.lists(ANY_CELL, min_size=1, max_size=5).map(lambda names: [f"x{names[0]}", *names[1:]]),
    st.lists(st.lists(ANY_CELL | st.none() | st.floats(), min_size=1, max_size=7), min_size=1, max_size=5),
)
def test_jsonl_of_any_shape(columns, rows):
    """Repeated names are numbered, short rows padded, and cells without a column are a list at the end."""
    data = b"".join(write_table("jsonl", columns, rows))
    names, *back = read_back(data, "t.jsonl", encoding="utf-8")

    width = max(min(len(row), len(columns)) for row in rows)
    assert len(set(names)) == len(names)
    assert all(name.startswith(column) for name, column in zip(names, columns[:width], strict=False))
    for row, cells in zip(rows, back, strict=True):
        kept = row[: len(columns)]
        assert [*cells[: len(kept)]] == [as_read(value) for value in kept]
        further = [
            None if as_read(value) == "" and not isinstance(value, str) else value for value in row[len(columns) :]
        ]
        found = cells[names.index("extra")] if "extra" in names else ""
        assert (json.loads(found) if further else []) == further


def as_read(value: str | float | None) -> str:
    """A cell as JSON Lines read it back."""
    if isinstance(value, str):
        return value
    return "" if value is None or not math.isfinite(value) else repr(value)


@thorough
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1), st.sampled_from(["csv", "xlsx"]))
def test_numbers_keep_their_value(numbers, format):  # noqa: A002
    data = b"".join(write_table(format, ["text"], [[number] for number in numbers]))

    back = [float(cells[0]) for cells in read_back(data, f"t.{format}")[1:]]
    # A workbook has 16 digits of a number, of which Excel shows 15.
    assert back == (numbers if format == "csv" else [float(f"{number:.16g}") for number in numbers])


def test_a_ragged_file_survives_reading_and_writing():
    data = b"id,text,c\n1,a\n2,b,c,d,e\n\n3,c,\n"
    with open_table(io.BytesIO(data), "t.csv", ReadOptions()) as table:
        copy = b"".join(write_table("csv", table.header.columns, (row.cells for row in table), bom=False))

    assert copy == b"id,text,c\r\n1,a,\r\n2,b,c,d,e\r\n,,\r\n3,c,\r\n"
