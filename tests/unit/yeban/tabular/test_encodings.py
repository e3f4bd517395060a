"""Detection of encodings, and errors where none fits."""

from __future__ import annotations

import codecs

import pytest

from yeban.errors import InvalidRequest, InvalidTable, msg

ROWS = "编号,工单内容\r\n1,你好，订单没有发货\r\n2,怎么退款？\r\n"
TEXTS = ["你好，订单没有发货", "怎么退款？"]


@pytest.mark.parametrize(
    ("mark", "codec", "reported"),
    [
        (b"", "utf-8", "utf-8"),
        (codecs.BOM_UTF8, "utf-8", "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16-le", "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be", "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le", "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be", "utf-32-be"),
        (b"", "gb18030", "gb18030"),
        (b"", "gbk", "gb18030"),
    ],
)
def test_it_finds_the_encoding(read, mark, codec, reported):
    table = read(mark + ROWS.encode(codec))

    assert table.header.encoding == reported
    assert table.header.columns == ("编号", "工单内容")
    assert table.texts == TEXTS


def test_excel_unicode_text(read):
    """Excel's "Unicode Text" is UTF-16LE with a mark and tabs, in a file called .txt."""
    data = codecs.BOM_UTF16_LE + '工单内容\t标签\r\n"他说""退款"""\t售后\r\n'.encode("utf-16-le")

    table = read(data, "工单.txt", gold_column="标签")

    assert (table.header.delimiter, table.header.format) == ("\t", "tsv")
    assert (table.rows[0].text, table.rows[0].gold) == ('他说"退款"', "售后")


def test_gb18030_has_characters_that_gbk_lacks(read):
    data = "文本\n生僻字𠮷和㐀\n".encode("gb18030")

    assert read(data).texts == ["生僻字𠮷和㐀"]


@pytest.mark.parametrize("override", ["GBK", "gb2312", "gb18030"])
def test_chinese_overrides_mean_gb18030(read, override):
    table = read(ROWS.encode("gbk"), encoding=override)

    assert (table.header.encoding, table.texts) == ("gb18030", TEXTS)


@pytest.mark.parametrize("override", ["utf-16", "UTF-16-LE", "utf_16"])
def test_an_override_meets_a_byte_order_mark(read, override):
    table = read(codecs.BOM_UTF16_LE + ROWS.encode("utf-16-le"), encoding=override)

    assert table.header.columns == ("编号", "工单内容")
    assert table.texts == TEXTS


def test_the_reported_encoding_can_be_given_back(read):
    for data in (codecs.BOM_UTF8 + ROWS.encode(), codecs.BOM_UTF16_BE + ROWS.encode("utf-16-be")):
        first = read(data)
        assert read(data, encoding=first.header.encoding).header == first.header


def test_an_override_reads_what_cannot_be_found_out(read):
    assert read("內容\n退款\n".encode("big5"), encoding="big5").texts == ["退款"]


@pytest.mark.parametrize("override", ["klingon", "base64", "rot13", "idna", "unicode_escape", "", "a\x00b"])
def test_an_unknown_override_is_refused(read, override):
    with pytest.raises(InvalidRequest, match="is unknown"):
        read(ROWS, encoding=override)


def test_a_failing_override_names_row_and_byte(read):
    data = "内容\n你好\n".encode() + b"a\xff\nb\n"

    with pytest.raises(InvalidTable, match=r"Row 3: byte 15 of the file is not valid UTF-8") as caught:
        read(data, encoding="utf-8")
    assert caught.value.context == {"row": 3, "offset": 15, "encoding": "utf-8"}


def test_bytes_in_no_encoding_name_row_and_byte(read):
    data = "内容,b\n".encode("gb18030") + b'"x\ny",1\n' + "退款".encode("gb18030") + b"\xff\xff,2\n"

    with pytest.raises(InvalidTable, match=r"Row 3: byte 19 .* GB18030") as caught:
        read(data)
    assert caught.value.context["row"] == 3


def test_a_bad_byte_behind_a_mark_is_no_gb18030(read):
    data = codecs.BOM_UTF8 + b"text\n" + b"a\xff\n"

    with pytest.raises(InvalidTable, match=r"Row 2: byte 9 .* UTF-8") as caught:
        read(data)
    assert caught.value.context["offset"] == 9


def test_a_bad_byte_far_into_the_file(read):
    good = "内容\n" + "退款退款\n" * 50_000
    data = good.encode() + b"\xff\n"

    with pytest.raises(InvalidTable) as caught:
        read(data)
    assert caught.value.context == {"row": 50_002, "offset": len(good.encode()), "encoding": "utf-8"}


def test_damaged_utf8_is_not_taken_for_gb18030(read):
    """Every byte pair is valid GB18030, so a plain fallback would read nonsense silently."""
    damaged = "工单内容\n".encode() + "你好你好你好你好".encode()[:-2] + b"\n"
    damaged.decode("gb18030")

    with pytest.raises(InvalidTable, match="UTF-8"):
        read(damaged)


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["id,text\n1,hello there\n", ROWS * 20])
def test_utf16_without_mark_says_so(read, codec, text):
    with pytest.raises(InvalidTable, match=f"looks like UTF-16 without a byte order mark.*{codec}"):
        read(text.encode(codec))


def test_utf16_without_mark_can_be_named(read):
    assert read(ROWS.encode("utf-16-be"), encoding="utf-16-be").texts == TEXTS


@pytest.mark.parametrize("codec", ["utf-8", "gb18030"])
def test_isolated_nuls_stay_in_cells_and_are_blanks_in_text(read, codec):
    table = read("内容,标签\n你\x00好,退\x00款\n\x00,x\n".encode(codec), gold_column="标签")

    assert table.cells == [("你\x00好", "退\x00款"), ("\x00", "x")]
    assert [(row.text, row.gold, row.problem) for row in table.rows] == [
        ("你 好", "退 款", None),
        ("", "x", msg("empty text")),
    ]


@pytest.mark.parametrize("data", [b"", codecs.BOM_UTF8, b"\n\r\n  \n", ",,\n,,\n"])
def test_a_file_without_content_is_refused(read, data):
    with pytest.raises(InvalidTable, match=r"empty|blank"):
        read(data)


def test_a_header_is_looked_for_in_the_first_lines_only(read):
    assert read("\n" * 99_999 + "text\na\n").texts == ["a"]
    with pytest.raises(InvalidTable, match="its first 100000 lines are blank"):
        read("\n" * 100_000 + "text\na\n")


def test_characters_split_over_blocks(read):
    """Blocks are cut at bytes, so some characters lie across two of them."""
    for shift in range(4):
        text = "x" * shift + "退𠮷" * 60_000
        for codec in ("utf-8", "gb18030"):
            table = read(f"内容\n{text}\n尾\n".encode(codec), max_cell_chars=200_000)
            assert table.texts == [text, "尾"]
