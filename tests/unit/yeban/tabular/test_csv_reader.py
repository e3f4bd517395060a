"""CSV and TSV: delimiters, quotes, line ends, ragged and blank rows, limits."""

from __future__ import annotations

import csv
import io

import pytest

from yeban.errors import InvalidRequest, InvalidTable, TooLarge, msg
from yeban.tabular import ReadOptions, open_table


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_it_finds_the_delimiter(read, delimiter):
    saved = io.StringIO()
    writer = csv.writer(saved, delimiter=delimiter)
    writer.writerows([["id", "text", "x;y"], ["1", "a,b\tc;d|e", ""], ["2", 'say "hi"\nnow', "z"]])

    table = read(saved.getvalue())

    assert table.header.delimiter == delimiter
    assert table.header.format == ("tsv" if delimiter == "\t" else "csv")
    assert table.cells == [("1", "a,b\tc;d|e", ""), ("2", 'say "hi"\nnow', "z")]


def test_rows_decide_between_two_delimiters_in_the_header(read):
    table = read("id,text;note\n1;a\n2;b, c\n", text_column="#2")

    assert table.header.delimiter == ";"
    assert table.texts == ["a", "b, c"]


def test_a_tsv_name_prefers_tabs(read):
    assert read("a,b\ttext\n1,2\tx\n", "t.tsv").header.columns == ("a,b", "text")


def test_the_tsv_format_forces_tabs(read):
    assert read("text,b\nx,y\n", format="tsv").texts == ["x,y"]


def test_a_single_column_keeps_its_commas(read):
    table = read('内容\n你好, 在吗\n"引号, 里面"\n没有\n一, 二, 三\n')

    assert table.header.delimiter is None
    assert table.texts == ["你好, 在吗", "引号, 里面", "没有", "一, 二, 三"]


def test_a_title_above_the_header_is_not_taken_for_the_text_column(read):
    data = "工单导出\n\nid,内容\n1,退款\n2,发货\n"

    with pytest.raises(InvalidTable, match=r"“工单导出”, but row 3 has 2.*title") as caught:
        read(data)
    assert caught.value.context["row"] == 3


def test_a_title_is_no_title_if_the_user_says_so(read):
    assert read("句子\na,b\nc,d\ne,f\n", delimiter="none").texts == ["a,b", "c,d", "e,f"]


@pytest.mark.parametrize(
    ("named", "meant"), [("tab", "\t"), ("\\t", "\t"), ("Comma", ","), ("semicolon", ";"), ("^", "^")]
)
def test_a_named_delimiter(read, named, meant):
    table = read(f"id{meant}text\n1{meant}x\n", delimiter=named)

    assert (table.header.delimiter, table.texts) == (meant, ["x"])


@pytest.mark.parametrize("named", ["ab", '"', "\n", "a", " ", "\x00", "\ud800", "\u200b"])
def test_a_delimiter_that_cannot_be_one_is_refused(read, named):
    with pytest.raises(InvalidRequest, match="must be one character"):
        read("text\nx\n", delimiter=named)


def test_excels_sep_line_names_the_delimiter_and_is_no_row(read):
    table = read("sep=;\r\nid;text\r\n1;a,b\r\n")

    assert table.header.delimiter == ";"
    assert [(row.file_row, row.cells) for row in table.rows] == [(2, ("1", "a,b"))]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends(read, end, last):
    data = end.join(["id,text", "1,a", f'2,"b{end}c"', "3,d"]) + (end if last else "")

    assert read(data).texts == ["a", f"b{end}c", "d"]


def test_mixed_line_ends(read):
    assert read("id,text\r1,a\n2,b\r\n3,c\r4,d").texts == ["a", "b", "c", "d"]


def test_line_ends_that_only_unicode_knows_end_no_row(read):
    assert read("id,text\n1,a\u2028b\x85c\x0bd\n").texts == ["a\u2028b\x85c\x0bd"]


@pytest.mark.parametrize("shift", range(4))
def test_a_crlf_split_over_two_blocks_is_one_line_end(read, shift):
    block = 1 << 18
    row = "x" * 1022 + "\r\n"
    data = "text" + "y" * shift + "\r\n" + row * (3 * block // 1024)

    table = read(data, text_column="#1")

    assert len(table.rows) == 3 * block // 1024
    assert {row.problem for row in table.rows} == {None}


def test_rows_are_numbered_as_a_spreadsheet_shows_them(read):
    table = read('\n\nid,text\n1,"two\nlines"\n\n2,b\n')

    assert [(row.row_no, row.file_row, row.text, row.problem) for row in table.rows] == [
        (1, 4, "two\nlines", None),
        (2, 5, "", msg("empty text")),
        (3, 6, "b", None),
    ]


def test_ragged_rows_lose_nothing(read):
    table = read("id,text,c,d,e\n1,a\n2\n3,b,,,,x,y\n4,,z\n,f,,,\n")

    assert [(row.cells, row.text, row.problem) for row in table.rows] == [
        (("1", "a", "", "", ""), "a", None),
        (("2", "", "", "", ""), "", msg("%(read)s cell where the header has %(columns)s", read=1, columns=5)),
        (("3", "b", "", "", "", "x", "y"), "b", None),
        (("4", "", "z", "", ""), "", msg("empty text")),
        (("", "f", "", "", ""), "f", None),
    ]


def test_several_cells_may_be_too_few(read):
    assert str(read("a,b,text\n1,2\n1,2,x\n").rows[0].problem) == "2 cells where the header has 3"


def test_blank_rows_at_the_end_are_dropped_and_in_the_middle_kept(read):
    table = read("id,text\n1,a\n,\n\n  ,\n2,b\n,\n\n ,\t\n")

    assert table.cells == [("1", "a"), ("", ""), ("", ""), ("  ", ""), ("2", "b")]
    assert [row.file_row for row in table.rows] == [2, 3, 4, 5, 6]
    assert [row.problem for row in table.rows] == [None, *[msg("empty text")] * 3, None]


def test_blank_rows_at_the_end_may_differ_and_be_many(read):
    assert len(read("id,text\n1,a\n" + ",\n\n,,,\n" * 3_000).rows) == 1


def test_very_many_blank_rows_before_the_next_row(read):
    table = read("id,text\n1,a\n" + ",\n\n" * 3_000 + "2,b\n")

    assert len(table.rows) == 6_002
    assert [row.row_no for row in table.rows] == list(range(1, 6_003))
    assert [row.file_row for row in table.rows] == list(range(2, 6_004))


@pytest.mark.parametrize("data", ["id,text\n", "id,text", "id,text\n\n,\n", "text\n \n"])
def test_a_header_alone_is_refused(read, data):
    with pytest.raises(InvalidTable, match="no data rows"):
        read(data)


def test_a_quote_left_open_at_the_end_names_where_it_opened(read):
    data = 'id,text\n1,"a\nb"\n2,"open\n3,c\n4,d\n'

    with pytest.raises(InvalidTable, match=r"Row 3 \(line 4\): a quote opens here and is never closed") as caught:
        read(data)
    assert caught.value.context == {"row": 3, "line": 4}


def test_a_quote_that_swallows_rows_names_where_it_opened(read):
    data = 'id,text\n1,"5 inch\n2,b\n3,a "quoted" word\n4,d\n'

    with pytest.raises(
        InvalidTable, match=r"Row 2 \(line 2\).*closes in the middle of another cell, on line 4"
    ) as caught:
        read(data)
    assert caught.value.context["row"] == 2


def test_a_stray_quote_within_a_line_is_read_as_excel_does(read):
    table = read('id,text\n1,5" disk\n2,"urgent" order\n3,c\n')

    assert table.texts == ['5" disk', "urgent order", "c"]
    assert [row.file_row for row in table.rows] == [2, 3, 4]


def test_a_stray_quote_that_leaves_another_open(read):
    with pytest.raises(InvalidTable, match="Row 2"):
        read('id,text,c\n1,"a"b,"c\n2,d,e\n')


def test_an_endless_quote_stops_early(read):
    rows = "2,some text of the usual length for a ticket\n" * 300_000
    data = 'id,text\n1,"open\n' + rows

    with pytest.raises(TooLarge, match=r"Row 2 \(line 2\) does not end within .* quote") as caught:
        read(data)
    assert caught.value.context["row"] == 2


def test_a_line_without_end_stops_early(read):
    with pytest.raises(TooLarge, match="Row 2"):
        read("id,text\n" + "x," * 3_000_000)


def test_limits_name_the_row(read):
    with pytest.raises(TooLarge, match="Row 3, column #2: one cell has 11 characters; the limit is 10") as caught:
        read("id,text\n1,a\n2,bbbbbbbbbbb\n", max_cell_chars=10)
    assert caught.value.context == {"row": 3, "column": 2, "limit": 10}
    with pytest.raises(TooLarge, match="Row 3 has 4 cells; the limit is 3") as caught:
        read("id,text\n1,a\n2,b,c,d\n", max_columns=3)
    assert caught.value.context == {"row": 3, "limit": 3}
    with pytest.raises(TooLarge, match="Row 1 has 3 cells"):
        read("id,text,c\n1,a\n", max_columns=2)
    with pytest.raises(TooLarge, match="Row 4 exceeds the limit of 2 data rows") as caught:
        read("id,text\n1,a\n2,b\n3,c\n", max_rows=2)
    assert caught.value.context == {"row": 4, "limit": 2}


def test_limits_are_inclusive(read):
    assert len(read("id,text\n1,aaaaaaaaaa\n2,b\n\n", max_rows=2, max_columns=2, max_cell_chars=10).rows) == 2


def test_a_cell_may_be_longer_than_pythons_own_limit(read):
    text = "长" * 200_000

    assert read(f"id,text\n1,{text}\n", max_cell_chars=200_000).texts == [text]


def test_rows_come_before_a_later_error():
    """Records before the bad one have been yielded."""
    with open_table(io.BytesIO(b'id,text\n1,a\n2,b\n3,"c\n'), "t.csv", ReadOptions()) as table:
        assert (next(table).text, next(table).text) == ("a", "b")
        with pytest.raises(InvalidTable):
            next(table)


def test_gold_is_trimmed_and_blank_is_none(read):
    table = read("text,label\na, 退款 \nb,\nc\n", gold_column="label")

    assert [row.gold for row in table.rows] == ["退款", None, None]
    assert table.rows[0].cells == ("a", " 退款 ")
