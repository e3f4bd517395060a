"""JSONL as written."""

from __future__ import annotations

import json

from yeban.tabular import write_table


def written(columns, rows):
    data = b"".join(write_table("jsonl", columns, rows)).decode("utf-8")
    assert data.endswith("\n") or not data
    return data, [json.loads(line) for line in data.splitlines()]


def test_one_object_a_row():
    data, objects = written(["id", "内容", "yeban_score"], [["1", "退\n款", 0.5], ["2", "=1", None]])

    assert objects == [
        {"id": "1", "内容": "退\n款", "yeban_score": 0.5},
        {"id": "2", "内容": "=1", "yeban_score": None},
    ]
    assert "退\\n款" in data


def test_names_that_occur_twice_are_told_apart():
    _, objects = written(["a", "a", "a_2", "a", ""], [["1", "2", "3", "4", "5"]])

    assert objects == [{"a": "1", "a_3": "2", "a_2": "3", "a_4": "4", "": "5"}]


def test_short_and_long_rows():
    _, objects = written(["a", "extra"], [["1"], ["1", "2", "3", None]])

    assert objects == [{"a": "1"}, {"a": "1", "extra": "2", "extra_2": ["3", None]}]


def test_numbers_that_json_has_not_are_null():
    assert written(["a", "b"], [[float("nan"), float("-inf")]])[1] == [{"a": None, "b": None}]


def test_half_a_surrogate_pair_is_written_as_its_escape():
    data, objects = written(["a"], [["x\ud83d"]])

    assert (data, objects) == ('{"a": "x\\ud83d"}\n', [{"a": "x\ud83d"}])


def test_no_rows():
    assert written(["a"], []) == ("", [])
