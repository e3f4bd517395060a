"""The choice of the text column and the gold column."""

from __future__ import annotations

import pytest

from yeban.errors import InvalidRequest, UnknownColumn


@pytest.mark.parametrize(
    "name", ["text", " Content ", "内容", "文本", "工单内容", "MESSAGE", "描述", "问题", "ｔｅｘｔ"]
)
def test_well_known_names(read, name):
    assert read(f"id,{name},z\n1,a,b\n").header.text_index == 1


def test_the_better_known_name_wins(read):
    assert read("description,text\na,b\n").header.text_index == 1


def test_the_only_column_needs_no_name(read):
    assert read("随便\n退款\n").texts == ["退款"]


def test_otherwise_the_user_is_asked(read):
    with pytest.raises(UnknownColumn, match="#1 “id”, #2 “客户说”, #3 “”") as caught:
        read("id,客户说,\n1,退款,x\n")
    assert caught.value.context["columns"] == ["id", "客户说", ""]


@pytest.mark.parametrize("name", ["客户说", " 客户说 ", "#2"])
def test_a_named_column(read, name):
    assert read("id,客户说,text\n1,退款,x\n", text_column=name).texts == ["退款"]


def test_case_matters_only_where_it_tells_columns_apart(read):
    assert read("Body,body\na,b\n", text_column="body").texts == ["b"]
    assert read("Body,id\na,b\n", text_column="body").texts == ["a"]
    with pytest.raises(UnknownColumn, match="2 columns named “BODY”"):
        read("Body,body\na,b\n", text_column="BODY")


def test_an_unknown_column_lists_those_there_are(read):
    for option in ("text_column", "gold_column"):
        with pytest.raises(UnknownColumn, match=r"no column “lable”.*#1 “text”, #2 “label”"):
            read("text,label\na,b\n", **{option: "lable"})


@pytest.mark.parametrize("name", ["#0", "#4", "#-1", "#x"])
def test_a_number_that_is_no_column(read, name):
    with pytest.raises(UnknownColumn):
        read("text,b,c\na,b,c\n", text_column=name)


def test_duplicate_names_are_kept_and_must_be_told_apart(read):
    data = "text,id,text\na,1,b\n"

    with pytest.raises(UnknownColumn, match="2 columns named “text”: #1, #3") as caught:
        read(data)
    assert caught.value.context["candidates"] == ["#1", "#3"]
    with pytest.raises(UnknownColumn, match="2 columns named “text”"):
        read(data, text_column="text")
    table = read(data, text_column="#3")
    assert (table.header.columns, table.texts) == (("text", "id", "text"), ["b"])


def test_blank_names_are_kept(read):
    assert read(",text,\n1,a,\n").header.columns == ("", "text", "")


def test_a_column_may_be_called_like_a_number(read):
    assert read("#2,b\na,b\n", text_column="#2").texts == ["a"]


def test_text_and_gold_are_two_columns(read):
    with pytest.raises(InvalidRequest, match="cannot be both"):
        read("text,b\na,b\n", gold_column="text")


def test_gold_is_never_guessed(read):
    assert read("text,label\na,b\n").header.gold_index is None


def test_a_long_header_is_shortened_in_errors(read):
    header = ",".join(f"{'列' * 50}{number}" for number in range(200))

    with pytest.raises(UnknownColumn) as caught:
        read(f"{header}\n{header}\n")
    assert "and 170 more" in caught.value.detail
    assert len(caught.value.detail) < 2_000
