from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.jobs.submission import safe_name


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("tickets.csv", "tickets.csv"),
        ("工单 2026.xlsx", "工单 2026.xlsx"),
        ("/etc/passwd", "passwd"),
        ("C:\\a\\b.csv", "b.csv"),
        ("a\x00b\r\n.csv", "ab.csv"),
        ("\ud800.csv", "csv"),
        ("...", "upload"),
        ("", "upload"),
        ("x" * 300, "x" * 200),
    ],
)
def test_a_name_is_kept_as_far_as_it_is_safe(given_name, kept):
    assert safe_name(given_name) == kept


@given(st.text(st.characters(), max_size=400))
def test_any_name_becomes_one_that_can_be_stored_and_shown(name):
    safe = safe_name(name)
    assert 1 <= len(safe) <= 200
    assert not set(safe) & set("/\\\x00\r\n")
    safe.encode("utf-8")
    assert safe_name(safe) == safe
