"""JSONL: columns from the first objects, nothing lost after them."""

from __future__ import annotations

import json

import pytest

from yeban.errors import InvalidRequest, InvalidTable, TooLarge, UnknownColumn, msg


def lines(*objects):
    return "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in objects)


@pytest.mark.parametrize("name", ["t.jsonl", "t.ndjson", "t.json", "t.txt", "t.csv"])
def test_content_tells_jsonl_whatever_the_name(read, name):
    table = read(lines({"id": 1, "text": "退款"}), name)

    assert (table.header.format, table.header.delimiter, table.texts) == ("jsonl", None, ["退款"])


def test_values(read):
    table = read('{"text": "a", "i": 7, "f": 0.5, "b": true, "n": null, "l": [1, "退"], "o": {"k": null}}\n')

    assert table.cells == [("a", "7", "0.5", "true", "", '[1, "退"]', '{"k": null}')]


def test_columns_are_the_keys_of_the_first_objects_in_order(read):
    table = read(lines({"text": "a"}, {"id": 2, "text": "b"}, {"text": "c", "tag": "x"}))

    assert table.header.columns == ("text", "id", "tag")
    assert table.cells == [("a", "", ""), ("b", "2", ""), ("c", "", "x")]


def test_later_keys_go_into_one_extra_cell(read):
    table = read(lines(*({"text": str(n)} for n in range(100)), {"text": "z", "late": 1, "later": "退"}))

    assert table.header.columns == ("text",)
    assert table.cells[-1] == ("z", '{"late": 1, "later": "退"}')
    assert (table.rows[-1].text, table.rows[-1].problem) == ("z", None)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ('{"text": "b"', "not a JSON object"),
        ("[1]", "not a JSON object"),
        ("plain words", "not a JSON object"),
        ('{"text": "b", "text": "c"}', "the key 'text' appears twice"),
        ('{"text": ' + "9" * 5_000 + "}", "too large"),
        ('{"text": ' + "[" * 90_000 + "}", "not a JSON object"),
    ],
)
def test_a_bad_line_is_one_bad_row_kept_as_it_is(read, bad, why):
    table = read(f'{{"text": "a", "id": 1}}\n{bad}\n{{"text": "c", "id": 3}}\n')

    assert [(row.row_no, row.file_row, row.text) for row in table.rows] == [(1, 1, "a"), (2, 2, ""), (3, 3, "c")]
    assert why in str(table.rows[1].problem)
    assert table.rows[1].cells == ("", "", bad)
    assert [table.rows[0].problem, table.rows[2].problem] == [None, None]


def test_a_bad_first_line(read):
    table = read('oops\n{"text": "a"}\n', "t.jsonl")

    assert table.cells == [("", "oops"), ("a",)]


def test_no_object_at_all(read):
    with pytest.raises(InvalidTable, match="Line 2: not a JSON object") as caught:
        read("\noops\nmore\n", "t.jsonl")
    assert caught.value.context == {"row": 2}


def test_blank_lines_are_no_rows_but_count_as_lines(read):
    table = read('\n{"text": "a"}\r\n\r\n{"text": "b"}', "t.jsonl")

    assert [(row.row_no, row.file_row, row.text) for row in table.rows] == [(1, 2, "a"), (2, 4, "b")]


def test_a_missing_text_is_that_rows_problem_even_at_the_end(read):
    table = read(lines({"text": "a", "id": 1}, {"id": 2}, {"text": None}, {"text": "  "}, {}))

    assert [row.problem for row in table.rows] == [None, *[msg("empty text")] * 4]


def test_half_a_surrogate_pair_stays_the_escape_it_was(read):
    table = read('{"text": "a\\ud83d退"}\n{"text": "\\ud83d\\ude00"}\n')

    assert table.texts == ["a\\ud83d退", "😀"]


def test_gb18030_and_byte_order_mark(read):
    data = lines({"内容": "退款"})

    assert read(data.encode("gb18030")).texts == ["退款"]
    assert read(data.encode("utf-8-sig")).texts == ["退款"]


def test_a_json_document_is_explained(read):
    with pytest.raises(InvalidTable, match="one object per line"):
        read('[{"text": "a"}]', "t.json")
    with pytest.raises(InvalidTable, match="one object per line"):
        read('{\n  "text": "a"\n}\n', "t.json")


def test_limits_name_the_line(read):
    with pytest.raises(TooLarge, match="Row 2, column #1: one cell has 20 characters"):
        read(lines({"text": "a"}, {"text": "b" * 20}), max_cell_chars=10)
    with pytest.raises(TooLarge, match="Row 2 exceeds the limit of 1 data rows"):
        read(lines({"text": "a"}, {"text": "b"}), max_rows=1)
    with pytest.raises(TooLarge, match="Line 2"):
        read(lines({"text": "a"}, {"text": "b" * 5_000_000}))


def test_an_undecodable_byte_names_its_line(read):
    with pytest.raises(InvalidTable, match="Row 2: byte 16 "):
        read(b'{"text": "aaa"}\n\xff\n', encoding="utf-8")


def test_unknown_column_and_sheet(read):
    with pytest.raises(UnknownColumn, match="#1 “a”, #2 “b”"):
        read(lines({"a": "x", "b": "y"}))
    with pytest.raises(InvalidRequest, match="sheets"):
        read(lines({"text": "x"}), sheet="Sheet1")
