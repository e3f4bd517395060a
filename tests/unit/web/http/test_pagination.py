"""Cursors of paged lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.http import pagination
from yeban.errors import InvalidRequest


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_a_cursor_decodes_to_its_key(key):
    assert pagination.decode("jobs", pagination.encode("jobs", key)) == key


def test_no_cursor_is_no_key():
    assert pagination.decode("jobs", None) is None


@given(st.text(max_size=60))
def test_anything_else_is_refused(text):
    with pytest.raises(InvalidRequest):
        pagination.decode("jobs", f"{text}!")


@pytest.mark.parametrize("key", [-1, 2**63])
def test_keys_out_of_range_are_refused(key):
    with pytest.raises(InvalidRequest):
        pagination.decode("jobs", pagination.encode("jobs", key))


def test_a_cursor_of_another_list_is_refused():
    with pytest.raises(InvalidRequest):
        pagination.decode("jobs", pagination.encode("rows", 3))


def test_a_page_has_a_cursor_if_there_are_more_items():
    assert pagination.split("rows", [3, 5, 8], 2, int) == ([3, 5], pagination.encode("rows", 5))
    assert pagination.split("rows", [3, 5], 2, int) == ([3, 5], None)
    assert pagination.split("rows", [], 2, int) == ([], None)


def test_there_is_no_cursor_after_the_last_page():
    assert pagination.encode("jobs", None) is None
