"""XLSX: texts of cells, the choice of a sheet, errors of bad archives."""

from __future__ import annotations

import io
import re
import struct
import zipfile
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from xml.sax.saxutils import escape

import pytest
from openpyxl import Workbook

from yeban.errors import InvalidRequest, InvalidTable, TooLarge, msg
from yeban.tabular import ReadOptions, open_table, sheet_names, xlsx_archive

SHEET = "xl/worksheets/sheet1.xml"
QUOTE = {'"': "&quot;"}
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def sheet_xml(rows: str) -> bytes:
    return f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'.encode()


def inline(text: str, reference: str = "") -> str:
    at = f' r="{reference}"' if reference else ""
    return f'<c{at} t="inlineStr"><is><t>{text}</t></is></c>'


def with_strings(repack, archive: bytes, strings: str, rows: str) -> bytes:
    """A workbook with shared strings, as Excel writes it."""
    types = "[Content_Types].xml"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        known = opened.read(types).decode()
    added = f'<Override PartName="/xl/sharedStrings.xml" ContentType="{kind}"/></Types>'
    return repack(
        archive,
        {
            SHEET: sheet_xml(rows),
            "xl/sharedStrings.xml": f'<sst xmlns="{MAIN}">{strings}</sst>'.encode(),
            types: known.replace("</Types>", added).encode(),
        },
    )


def styled(
    repack, archive: bytes, formats: list[tuple[int, str | None]], rows: str, *, date1904: bool = False
) -> bytes:
    """A workbook whose cell style ``n`` has the number format ``formats[n]``: its id, and its code if it has one."""
    codes = "".join(f'<numFmt numFmtId="{id}" formatCode="{escape(code, QUOTE)}"/>' for id, code in formats if code)  # noqa: A001
    styles = "".join(f'<xf numFmtId="{id}" fontId="0" fillId="0" borderId="0" xfId="0"/>' for id, _ in formats)  # noqa: A001
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        style_part, book_part = opened.read("xl/styles.xml").decode(), opened.read("xl/workbook.xml").decode()
    style_part = re.sub(r"<numFmts.*?(/>|</numFmts>)", "", style_part)
    style_part = re.sub(r"(<styleSheet[^>]*>)", rf"\1<numFmts>{codes}</numFmts>", style_part)
    style_part = re.sub(r"<cellXfs.*?</cellXfs>", f"<cellXfs>{styles}</cellXfs>", style_part)
    if date1904:
        book_part = re.sub(r"<workbookPr[^>]*/>", '<workbookPr date1904="1"/>', book_part)
    return repack(
        archive,
        {SHEET: sheet_xml(rows), "xl/styles.xml": style_part.encode(), "xl/workbook.xml": book_part.encode()},
    )


@pytest.fixture(scope="module")
def plain(workbook):
    return workbook([["text", "n"], ["退款", 1]])


def test_values(read, workbook):
    rows = [
        ["text", "v"],
        ["int", 5],
        ["whole", 5.0],
        ["float", 0.1],
        ["big", 12345678901234567],
        ["negative", -2.5],
        ["huge", 1e300],
        ["bool", True],
        ["error", "#N/A"],
        ["date", date(2024, 2, 29)],
        ["moment", datetime(2024, 2, 29, 13, 5, 6)],  # noqa: DTZ001
        ["time", time(13, 5)],
        ["elapsed", timedelta(hours=27, minutes=30)],
        ["text", "00123"],
        ["spaces", " a "],
        ["none", None],
    ]
    table = read(workbook(rows), "t.xlsx")

    assert dict(table.cells[:-1]) | {"none": table.cells[-1][1]} == {
        "int": "5",
        "whole": "5",
        "float": "0.1",
        "big": "12345678901234570",
        "negative": "-2.5",
        "huge": "1e+300",
        "bool": "TRUE",
        "error": "#N/A",
        "date": "2024-02-29",
        "moment": "2024-02-29T13:05:06",
        "time": "13:05:00",
        "elapsed": "27:30:00",
        "text": "00123",
        "spaces": " a ",
        "none": "",
    }


def test_the_content_tells_xlsx_whatever_the_name(read, plain):
    table = read(plain, "export.csv")

    assert (table.header.format, table.header.delimiter) == ("xlsx", None)
    assert table.cells == [("退款", "1")]


def test_formulas_give_their_stored_value(read, plain, repack):
    rows = (
        f"<row>{inline('text')}{inline('v')}</row>"
        '<row><c t="str"><f>A1&amp;"x"</f><v>计算</v></c><c><f>1+1</f><v>2</v></c></row>'
        f"<row>{inline('b')}<c><f>1+1</f></c></row>"
    )

    assert read(repack(plain, {SHEET: sheet_xml(rows)}), "t.xlsx").cells == [("计算", "2"), ("b", "")]


def test_merged_and_missing_cells_are_empty(read, workbook):
    def merge(book):
        book.active.merge_cells("A2:B3")
        book.active["E2"] = "far"

    table = read(workbook([["text", "b", "c"], ["m", None, "x"], [None, None, "y"], ["z"]], merge), "t.xlsx")

    assert table.cells == [("m", "", "x", "", "far"), ("", "", "y"), ("z", "", "")]
    assert [row.problem for row in table.rows] == [None, msg("empty text"), None]


def test_rows_are_numbered_as_excel_shows_them(read, plain, repack):
    rows = (
        f'<row r="2">{inline("text", "A2")}</row><row r="4">{inline("a", "A4")}</row>'
        f'<row r="7">{inline("b", "A7")}</row><row r="8"><c r="A8" s="1"/></row><row r="1048576"/>'
    )
    table = read(repack(plain, {SHEET: sheet_xml(rows)}), "t.xlsx")

    assert [(row.row_no, row.file_row, row.text) for row in table.rows] == [
        (1, 3, ""),
        (2, 4, "a"),
        (3, 5, ""),
        (4, 6, ""),
        (5, 7, "b"),
    ]


def test_rich_text_is_joined_and_phonetic_readings_are_left_out(read, plain, repack):
    runs = '<is><r><t>退</t></r><r><rPr><b/></rPr><t>款</t></r><rPh sb="0" eb="1"><t>tui</t></rPh></is>'
    rows = f'<row>{inline("text")}</row><row><c t="inlineStr">{runs}</c></row><row><c t="s"><v>0</v></c></row>'
    strings = '<si><r><t>发</t></r><r><t xml:space="preserve"> 货</t></r><rPh sb="0" eb="1"><t>fa</t></rPh></si>'

    assert read(with_strings(repack, plain, strings, rows), "t.xlsx").texts == ["退款", "发 货"]


def test_shared_strings(read, plain, repack):
    """Excel puts every text into one table; a cell holds its index."""
    texts = ["text", "", "退款", "a_x000D_\n b", *(f"第{n}条" for n in range(20_000))]
    strings = "".join(f'<si><t xml:space="preserve">{text}</t></si>' for text in texts)
    rows = "".join(
        f'<row><c t="s"><v>{index}</v></c><c t="s"><v>{len(texts) - 1 - index}</v></c></row>'
        for index in range(len(texts))
    )
    table = read(with_strings(repack, plain, strings, rows), "t.xlsx")

    read_texts = ["text", "", "退款", "a\r\n b", *texts[4:]]
    assert table.header.columns == ("text", texts[-1])
    assert table.cells == list(zip(read_texts, reversed(read_texts), strict=True))[1:]


def test_escapes_of_excel_are_undone(read, plain, repack):
    rows = (
        f"<row>{inline('text')}</row><row>{inline('a_x000D_b_x005F_x000D_')}</row><row>{inline('_xD83D__xDE00_')}</row>"
    )

    assert read(repack(plain, {SHEET: sheet_xml(rows)}), "t.xlsx").texts == ["a\rb_x000D_", "😀"]


def test_a_prefixed_namespace(read, plain, repack):
    rows = "".join(f'<x:row><x:c t="str"><x:v>{text}</x:v></x:c></x:row>' for text in ("text", "a"))
    xml = f'<x:worksheet xmlns:x="{MAIN}"><x:sheetData>{rows}</x:sheetData></x:worksheet>'

    assert read(repack(plain, {SHEET: xml.encode()}), "t.xlsx").texts == ["a"]


def test_strict_open_xml_is_explained(read, plain, repack):
    part = "xl/workbook.xml"
    with zipfile.ZipFile(io.BytesIO(plain)) as archive:
        transitional = archive.read(part).decode()
    strict = transitional.replace(MAIN, "http://purl.oclc.org/ooxml/spreadsheetml/main").replace(
        "http://schemas.openxmlformats.org/officeDocument/2006", "http://purl.oclc.org/ooxml/officeDocument"
    )

    with pytest.raises(InvalidTable, match="not as Strict Open XML"):
        read(repack(plain, {part: strict.encode()}), "t.xlsx")


def test_the_first_visible_sheet_is_read_or_the_named_one(read, workbook):
    def more(book):
        book.active.title = "hidden"
        book.active.sheet_state = "hidden"
        for name in ("第二", "third"):
            sheet = book.create_sheet(name)
            sheet.append(["text"])
            sheet.append([name])
        book.active = 1

    data = workbook([["text"], ["secret"]], more)

    assert read(data, "t.xlsx").texts == ["第二"]
    assert read(data, "t.xlsx", sheet="third").texts == ["third"]
    assert read(data, "t.xlsx", sheet="hidden").texts == ["secret"]
    with pytest.raises(InvalidRequest, match=r"no sheet “x”\. Its sheets are: hidden, 第二, third"):
        read(data, "t.xlsx", sheet="x")


def test_a_title_row_is_not_taken_for_the_header(read, workbook):
    with pytest.raises(InvalidTable, match="“工单导出”, but row 2 has 2"):
        read(workbook([["工单导出"], ["id", "内容"], [1, "退款"]]), "t.xlsx")


def test_no_rows(read, workbook):
    with pytest.raises(InvalidTable, match="no data rows"):
        read(workbook([["text"]]), "t.xlsx")
    with pytest.raises(InvalidTable, match="blank"):
        read(workbook([]), "t.xlsx")


def test_limits_name_the_row(read, workbook):
    data = workbook([["text", "b"], ["a", "b"], ["c", "d" * 30]])

    with pytest.raises(TooLarge, match="Row 3, column #2: one cell has 30 characters; the limit is 10") as caught:
        read(data, "t.xlsx", max_cell_chars=10)
    assert caught.value.context == {"row": 3, "column": 2, "limit": 10}
    with pytest.raises(TooLarge, match="Row 1 has 2 cells; the limit is 1"):
        read(data, "t.xlsx", max_columns=1)
    with pytest.raises(TooLarge, match="Row 3 exceeds the limit of 1 data rows"):
        read(data, "t.xlsx", max_rows=1)


def test_formatted_empty_cells_do_not_count_as_columns(read, plain, repack):
    rows = f'<row r="1">{inline("text", "A1")}<c r="XFD1" s="1"/></row><row r="2">{inline("a", "A2")}</row>'

    assert read(repack(plain, {SHEET: sheet_xml(rows)}), "t.xlsx", max_columns=3).header.columns == ("text",)


def test_a_declared_size_counts_for_nothing(read, plain, repack):
    rows = f"<row>{inline('text')}</row><row>{inline('a')}</row>"
    for size in ("A1:XFD1048576", "A1", "A1:A1"):
        xml = sheet_xml(rows).replace(b"<sheetData>", f'<dimension ref="{size}"/><sheetData>'.encode())
        assert read(repack(plain, {SHEET: xml}), "t.xlsx", max_columns=3).cells == [("a",)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('<row r="99999999"/>', "a row beyond 1048576"),
        ('<row><c r="ZZZZ2"><v>1</v></c></row>', "damaged after row 1"),
        ('<row><c r="é2"><v>1</v></c></row>', "damaged after row 1"),
        ('<row><c t="s"><v>77</v></c></row>', "damaged after row 1"),
        ('<row><c t="s"><v>x</v></c></row>', "damaged after row 1"),
        ("<row><c><v>what</v></c></row>", "damaged after row 1"),
        ('<row><c s="77" t="n"><v>1</v></c></row>', "damaged after row 1"),
        ("<row><c></row>", "damaged"),
    ],
)
def test_a_damaged_sheet_says_where(read, plain, repack, row, message):
    with pytest.raises(InvalidTable, match=message):
        read(repack(plain, {SHEET: sheet_xml(f"<row>{inline('text')}</row>{row}<row>{inline('a')}</row>")}), "t.xlsx")


def test_damaged_archives(read, plain, repack):
    for data in (plain[:-40], plain[: len(plain) // 2], b"PK\x03\x04" + b"\x00" * 100):
        with pytest.raises(InvalidTable, match="damaged"):
            read(data, "t.xlsx")
    for part in ("xl/workbook.xml", "xl/_rels/workbook.xml.rels"):
        with pytest.raises(InvalidTable, match="damaged"):
            read(repack(plain, {part: None}), "t.xlsx")
        with pytest.raises(InvalidTable, match="damaged"):
            read(repack(plain, {part: b"<a"}), "t.xlsx")
    with pytest.raises(InvalidTable, match="no visible sheet"):
        read(repack(plain, {SHEET: None}), "t.xlsx")
    changed = bytearray(plain)
    with zipfile.ZipFile(io.BytesIO(plain)) as archive:
        info = archive.getinfo(SHEET)
    start = info.header_offset + 30 + len(SHEET)
    changed[start + 20 : start + 60] = bytes(40)
    with pytest.raises(InvalidTable, match="damaged"):
        read(bytes(changed), "t.xlsx")


def test_other_archives_are_explained(read, plain, repack):
    with pytest.raises(InvalidTable, match="not an Excel workbook"):
        read(repack(plain, {"[Content_Types].xml": None}), "t.xlsx")
    with pytest.raises(InvalidTable, match=r"binary workbook \(\.xlsb\)"):
        read(repack(plain, {"xl/workbook.bin": b"x"}), "t.xlsx")


def test_an_encrypted_archive_is_explained(read, plain):
    changed = bytearray(plain)
    for signature, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        at = changed.find(signature)
        while at >= 0:
            changed[at + offset] |= 1
            at = changed.find(signature, at + 4)
    with pytest.raises(InvalidTable, match="encrypted"):
        read(bytes(changed), "t.xlsx")


@pytest.mark.parametrize("codec", ["utf-8", "utf-16"])
@pytest.mark.parametrize("prolog", ["", f"<!--{'x' * 100_000}-->"])
@pytest.mark.parametrize("part", [SHEET, "xl/workbook.xml", "[Content_Types].xml"])
def test_entities_are_refused_in_any_part(read, plain, repack, part, prolog, codec):
    bomb = prolog + '<!DOCTYPE x [<!ENTITY a "aaaa">]>' + sheet_xml("<row><c><v>&a;</v></c></row>").decode()

    with pytest.raises(InvalidTable, match="XML entities"):
        read(repack(plain, {part: bomb.encode(codec)}), "t.xlsx")


def test_a_flood_of_shared_strings_is_refused_before_it_fills_the_memory(monkeypatch, read, plain, repack):
    monkeypatch.setattr(xlsx_archive, "_MAX_SHARED_STRINGS", 1_000)
    row = '<row><c t="s"><v>0</v></c></row>'

    with pytest.raises(TooLarge, match="1,000 different texts"):
        read(with_strings(repack, plain, "<si><t>ab</t></si>" * 1_001, row * 2), "t.xlsx")
    assert read(with_strings(repack, plain, "<si><t>ab</t></si>" * 1_000, row * 2), "t.xlsx")


def test_zip_bombs_are_refused_before_they_unpack(read, plain, repack):
    blanks = repack(plain, {SHEET: sheet_xml(" " * (70 << 20))})
    assert len(blanks) < 1 << 20
    with pytest.raises(TooLarge, match="unpacks to more than 200 times its size"):
        read(blanks, "t.xlsx")
    claimed = bytearray(plain)
    entry = claimed.find(b"PK\x01\x02")
    claimed[entry + 24 : entry + 28] = struct.pack("<L", 3 << 30)
    with pytest.raises(TooLarge, match="unpacks to 3072 MiB; the limit is 2048 MiB"):
        read(bytes(claimed), "t.xlsx")


def test_an_archive_of_very_many_files_is_refused(read, plain):
    file = io.BytesIO(plain)
    with zipfile.ZipFile(file, "a") as archive:
        for number in range(10_000):
            archive.writestr(str(number), b"")
    with pytest.raises(TooLarge, match="more than 10000 files"):
        read(file.getvalue(), "t.xlsx")


def test_a_directory_of_very_many_files_is_refused_unread(read, plain):
    end = plain.rfind(b"PK\x05\x06")
    claimed = plain[:end] + struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, 65535, 65535, 100 << 20, 0, 0)

    with pytest.raises(TooLarge, match="too many files"):
        read(claimed, "t.xlsx")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest", r"\.xls\).*password"),
        (b"%PDF-1.7 ...", "PDF"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"PAR1....", "Parquet"),
        (b"\r\n<html><table><tr><td>text</td></tr></table>", "web page"),
        (b'\xef\xbb\xbf<?xml version="1.0"?><Workbook/>', "XML"),
    ],
)
def test_other_binary_files_are_explained(read, data, message):
    with pytest.raises(InvalidTable, match=message):
        read(data, "t.xlsx")


def test_a_format_that_the_bytes_contradict(read, plain):
    with pytest.raises(InvalidTable, match="not CSV"):
        read(plain, "t.csv", format="csv")
    with pytest.raises(InvalidTable, match="not an Excel workbook"):
        read("text\na\n", "t.xlsx", format="xlsx")


def test_closing_leaves_the_file_open(plain):
    file = io.BytesIO(plain)
    with open_table(file, "t.xlsx", ReadOptions()) as table:
        next(table)
    assert not file.closed
    with open_table(file, "t.xlsx", ReadOptions()) as table:
        assert len(list(table)) == 1


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("yyyy/m/d", "2024-02-29T12:00:00"),
        ('yyyy"年"m"月"d"日"', "2024-02-29T12:00:00"),
        ("[$-804]yyyy年m月d日", "2024-02-29T12:00:00"),
        ("[h]:mm:ss", "1088436:00:00"),
        ("General", "45351.5"),
        ("0.00", "45351.5"),
        ("[Red]-0.00", "45351.5"),
        ('0" days"', "45351.5"),
        ("#,##0_);[Red](#,##0)", "45351.5"),
        ('0;"day"', "45351.5"),
        ("0.0E+00", "45351.5"),
        ("@", "45351.5"),
    ],
)
def test_the_number_format_makes_a_date(read, plain, repack, code, text):
    rows = f'<row>{inline("text")}</row><row><c s="1"><v>45351.5</v></c></row>'

    assert read(styled(repack, plain, [(0, None), (164, code)], rows), "t.xlsx").texts == [text]


@pytest.mark.parametrize("format_id", [14, 22, 27, 31, 36, 50, 57, 58])
def test_built_in_dates_of_chinese_excel_need_no_code(read, plain, repack, format_id):
    """Chinese Excel writes 2024年2月29日 as format 31 without defining it."""
    rows = f'<row>{inline("text")}</row><row><c s="1"><v>45351</v></c></row><row><c s="1"><v>1e300</v></c></row>'
    texts = read(styled(repack, plain, [(0, None), (format_id, None)], rows), "t.xlsx").texts

    assert texts[0] == "2024-02-29"
    assert texts[1] in {"1e+300", "#VALUE!"}


@pytest.mark.parametrize(
    ("number", "date1904", "text"),
    [
        ("1", False, "1900-01-01"),
        ("59", False, "1900-02-28"),
        ("61", False, "1900-03-01"),
        ("1", True, "1904-01-02"),
        ("45351.500000011574", False, "2024-02-29T12:00:00.001"),
        ("0.25", False, "06:00:00"),
        ("2958465", False, "9999-12-31"),
        ("2958466", False, "#VALUE!"),
    ],
)
def test_dates_count_from_the_workbooks_first_day(read, plain, repack, number, date1904, text):
    rows = f'<row>{inline("text")}</row><row><c s="1"><v>{number}</v></c></row>'

    assert read(styled(repack, plain, [(0, None), (14, None)], rows, date1904=date1904), "t.xlsx").texts == [text]


@pytest.mark.parametrize(
    ("number", "text"),
    [("1.1000000000000001", "1.1"), ("1.5E+10", "15000000000"), ("007", "7"), ("1e300", "1e+300"), ("-0.5", "-0.5")],
)
def test_numbers_as_the_file_spells_them(read, plain, repack, number, text):
    rows = f"<row>{inline('text')}</row><row><c><v>{number}</v></c></row>"

    assert read(repack(plain, {SHEET: sheet_xml(rows)}), "t.xlsx").texts == [text]


def test_elapsed_time_may_be_negative_and_has_milliseconds(read, plain, repack):
    rows = f"<row>{inline('text')}</row>" + "".join(
        f'<row><c s="1"><v>{days}</v></c></row>' for days in (-0.5, 1.5 / 86_400, 100)
    )

    assert read(styled(repack, plain, [(0, None), (46, None)], rows), "t.xlsx").texts == [
        "-12:00:00",
        "0:00:01.500",
        "2400:00:00",
    ]


def test_dates_of_all_years(read, workbook):
    start = datetime(1900, 3, 1)  # noqa: DTZ001
    moments = [start + timedelta(days=n * 997, seconds=n * 7919 % 86400) for n in range(500)]
    table = read(workbook([["text"], *([moment] for moment in moments)]), "t.xlsx")

    expected = [m.date().isoformat() if m.time() == time() else m.isoformat() for m in moments]
    assert table.texts == expected
    assert all(before < after for before, after in pairwise(table.texts))


def test_what_looks_like_an_escape_of_excel_is_kept_among_shared_strings(read, plain, repack):
    strings = "<si><t>text</t></si><si><t>_x005F_x000D_ x005F_</t></si>"
    rows = '<row><c t="s"><v>0</v></c></row><row><c t="s"><v>1</v></c></row>'
    assert read(with_strings(repack, plain, strings, rows), "t.xlsx").cells == [("_x000D_ x005F_",)]


def test_the_names_of_sheets_visible_ones_first():
    book = Workbook()
    book.active.title = "隐藏"
    book.active.sheet_state = "hidden"
    for name in ("工单", "附录"):
        book.create_sheet(name).append(["text"])
    book.create_chartsheet("图")
    saved = io.BytesIO()
    book.save(saved)
    assert sheet_names(saved) == ["工单", "附录", "隐藏"]


def test_a_workbook_that_is_none_has_no_sheets():
    with pytest.raises(InvalidTable):
        sheet_names(io.BytesIO(b"PK\x03\x04 no zip"))
