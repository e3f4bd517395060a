from __future__ import annotations

import io
import tracemalloc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yeban.errors import InvalidTable
from yeban.tabular import ReadOptions, open_table, profile
from yeban.tabular.profile import profile_table

MIB = 1 << 20


def counted(content: str, *, long_tokens: int = 10, joiner: str | None = None, **options: str):
    with open_table(io.BytesIO(content.encode()), "a.csv", ReadOptions(**options)) as table:
        return profile_table(table, long_tokens=long_tokens, joiner=joiner)


def test_what_is_counted():
    found = counted("id,text\n1,甲\n2,\n3,甲\n4,a letter is less\n5,丙丙丙丙丙丙丙丙丙丙丙丙丙丙丙\n6\n7,甲\n")
    assert (found.rows, found.unscorable, found.duplicates, found.long, found.longest_chars) == (7, 2, 2, 1, 16)
    assert found.compared_all
    assert found.gold is None


def test_gold_labels_most_frequent_first():
    found = counted("text,gold\na,退款\nb,物流\nc,物流\nd,\ne,退款|物流\n", gold_column="gold")
    assert list(found.gold.items()) == [("物流", 2), ("退款", 1), ("退款|物流", 1)]
    assert found.without_gold == 1


def test_several_gold_labels_of_a_row_are_parted_where_several_may_apply():
    found = counted("text,gold\na,退款 | 物流\nb,物流|\n", gold_column="gold", joiner="|")
    assert found.gold == {"物流": 2, "退款": 1}


def test_a_column_of_ever_other_values_has_no_labels():
    rows = "\n".join(f"t{number},g{number}" for number in range(profile.MAX_GOLD_LABELS + 1))
    assert counted(f"text,gold\n{rows}", gold_column="gold").gold is None


def test_beyond_so_many_different_texts_duplicates_are_not_looked_for(monkeypatch):
    monkeypatch.setattr(profile, "MAX_DISTINCT_TEXTS", 3)
    found = counted("text\na\nb\na\nc\na\nb\n")
    assert (found.rows, found.compared, found.duplicates, found.compared_all) == (6, 4, 1, False)


def test_hashes_that_meet_in_one_slot_are_told_apart(monkeypatch):
    monkeypatch.setattr(profile, "_SLOTS", 8)
    assert counted("text\n" + "\n".join("abcdefabcdef")).duplicates == 6


@given(st.lists(st.text("ab", max_size=3), min_size=1, max_size=60))
def test_duplicates_are_what_stands_in_an_earlier_row(texts):
    quoted = "".join(f'"{text}",x\n' for text in texts)
    found = counted(f"text,b\n{quoted}")
    filled = [text for text in texts if text]
    assert found.rows == len(texts)
    assert found.unscorable == len(texts) - len(filled)
    assert found.duplicates == sum(count - 1 for count in Counter(filled).values())


def test_what_breaks_off_is_raised_with_its_row():
    with pytest.raises(InvalidTable, match="Row 3"):
        counted('text\na\n"b\n')


def test_memory_does_not_grow_with_the_rows():
    content = "id,text\n" + "".join(f"{number},订单 {number} 一直没有发货\n" for number in range(200_000))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        file = io.BytesIO(content.encode())
        tracemalloc.reset_peak()
        with open_table(file, "a.csv", ReadOptions()) as table:
            held = tracemalloc.get_traced_memory()[0]
            assert profile_table(table, long_tokens=512).duplicates == 0
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert before <= held
    assert peak - held < 20 * MIB
