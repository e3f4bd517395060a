"""XLSX as written, read back by openpyxl."""

from __future__ import annotations

import io
import tempfile
import zipfile
from itertools import repeat

import openpyxl
import pytest

from yeban.errors import TooLarge
from yeban.tabular import MAX_XLSX_ROWS, write_table


def saved(columns, rows) -> bytes:
    return b"".join(write_table("xlsx", columns, rows))


def values(columns, rows):
    book = openpyxl.load_workbook(io.BytesIO(saved(columns, rows)))
    return list(book.active.iter_rows(values_only=True))


def test_strings_stay_strings_and_numbers_numbers():
    row = ["=1+1", "00123", "1.50", "TRUE", "#N/A", -0.25, 3, None, "", " a\n<&>\"' ", float("nan")]

    sheet = openpyxl.load_workbook(io.BytesIO(saved([f"c{n}" for n in range(11)], [row]))).active

    cells = sheet[2]
    assert [cell.value for cell in cells[:10]] == [*row[:8], None, row[9]]
    assert [cell.data_type for cell in cells[:7]] == ["s", "s", "s", "s", "s", "n", "n"]


def test_the_header_is_frozen():
    assert openpyxl.load_workbook(io.BytesIO(saved(["a"], [["b"]]))).active.freeze_panes == "A2"


def test_control_characters_are_shown(read):
    rows = read(saved(["text"], [["a\x00b\x1bc\ufffe\ud83dd\r\ne\t😀"]])).texts

    assert rows == ["a␀b␛c\ufffd\ufffdd\r\ne\t😀"]


def test_what_looks_like_an_escape_of_excel_is_kept(read):
    assert values(["a"], [["_x000D_"]])[1] == ("_x005F_x000D_",)
    assert read(saved(["text"], [["a_x000D_b"]])).texts == ["a_x000D_b"]


@pytest.mark.parametrize("char", ["退", "😀"])
def test_a_cell_over_excels_limit_is_cut_with_a_mark(char):
    units = len(char.encode("utf-16-le")) // 2
    fits = char * (32_767 // units)
    long = char * 40_123

    whole, cut = (row[0] for row in values(["a"], [[fits], [long]])[1:])

    assert whole == fits
    assert cut.endswith(" …[cut: 40123 characters; CSV has them all]")
    assert cut.startswith(char * 16_000)
    assert 32_760 <= len(cut.encode("utf-16-le")) // 2 <= 32_767


def test_short_and_long_rows():
    assert values(["a", "b"], [["1"], ["1", "2", "3"]]) == [("a", "b", None), ("1", None, None), ("1", "2", "3")]


def test_column_names_past_z():
    row = [f"v{n}" for n in range(800)]

    sheet = openpyxl.load_workbook(io.BytesIO(saved(row, [row]))).active
    assert [sheet["Z2"].value, sheet["AA2"].value, sheet["AZ2"].value, sheet["BA2"].value] == [
        "v25",
        "v26",
        "v51",
        "v52",
    ]
    assert sheet["ZZ2"].value == "v701"
    assert sheet["AAA2"].value == "v702"


def test_too_many_columns_name_the_row():
    with pytest.raises(TooLarge, match="Row 2 has 16385 cells") as caught:
        saved(["a"], [["x"] * 16_385])
    assert caught.value.context == {"row": 2, "limit": 16_384}


def test_too_many_rows_say_csv():
    with pytest.raises(TooLarge, match=r"1048575 rows below its header\. Use CSV") as caught:
        for _ in write_table("xlsx", ["a"], repeat((), MAX_XLSX_ROWS + 1)):
            pass
    assert caught.value.context == {"row": 1_048_577, "limit": 1_048_575}


def test_an_escape_is_not_cut_in_two(read):
    cut = read(saved(["text"], [["\r" * 20_000]])).texts[0]

    assert cut.strip("\r") == " …[cut: 20000 characters; CSV has them all]"


def test_the_archive_is_sound_and_comes_in_blocks():
    blocks = list(write_table("xlsx", ["a", "b"], ([str(n * 7919 % 100_003), n * 0.37] for n in range(20_000))))

    assert len(blocks) > 2
    assert {len(block) for block in blocks[:-1]} == {1 << 16}
    with zipfile.ZipFile(io.BytesIO(b"".join(blocks))) as archive:
        assert archive.testzip() is None


@pytest.fixture
def temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_no_temporary_file_stays(temporary_folder):
    assert saved(["a"], [["b"]] * 10)
    assert list(temporary_folder.iterdir()) == []


def test_a_stream_that_is_given_up_ends_cleanly(temporary_folder):
    blocks = write_table("xlsx", ["a", "b"], ([str(n * 7919 % 100_003), n * 0.37] for n in range(20_000)))
    assert next(blocks)
    blocks.close()
    assert list(temporary_folder.iterdir()) == []


@pytest.mark.parametrize("good_rows", [0, 1_000])
def test_rows_that_fail_leave_nothing_behind(temporary_folder, good_rows):
    def rows():
        yield from repeat(["a", 0.5], good_rows)
        raise ConnectionError("the database is away")

    with pytest.raises(ConnectionError):
        saved(["a", "b"], rows())
    assert list(temporary_folder.iterdir()) == []


def test_no_rows():
    assert values(["a", "b"], []) == [("a", "b")]
