from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.properties import examples
from web.label_sets.import_export import decoded, exported, imported
from yeban.errors import InvalidLabels, InvalidRequest, InvalidTable, InvalidTemplate, YebanError
from yeban.labels import Label, LabelSet

_STRINGS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@examples(200)
@given(
    name=_STRINGS,
    labels=st.lists(
        st.builds(Label, name=_STRINGS, description=_STRINGS, examples=st.lists(_STRINGS, max_size=20).map(tuple)),
        min_size=1,
        unique_by=lambda label: label.name,
    ),
    template=_STRINGS.map(lambda text: text.replace("{}", "") + "{}"),
    multi_label=st.booleans(),
    threshold=st.none() | st.floats(0, 1),
)
def test_what_is_exported_is_read_as_it_was(name, labels, template, multi_label, threshold):
    try:
        label_set = LabelSet(labels=tuple(labels), template=template, multi_label=multi_label, threshold=threshold)
        content = label_set.normalized()
    except (InvalidLabels, InvalidTemplate):
        return
    assert imported(exported(name, content)) == (name, content)
    assert imported(decoded(exported(name, content).encode())) == (name, content)


@examples(300)
@given(st.text(max_size=80) | st.text('{}[]",:|\t\r\n; name', max_size=40))
def test_whatever_is_pasted_is_read_or_refused(document):
    try:
        _, content = imported(document)
    except YebanError:
        return
    assert content.normalized() == content


@pytest.mark.parametrize(
    "document",
    [
        "name,description,examples\n物流,包裹,到哪了|没动\n退款,,\n",
        "\ufeffname,description,examples\r\n物流,包裹,到哪了 | 没动 |\r\n\r\n退款\r\n",
        "名称\t说明\t例子\n物流\t包裹\t到哪了|没动\n退款\t\t\n",
        "examples;Name;description\n到哪了|没动;物流;包裹\n;退款;\n",
        '[{"name": "物流", "description": "包裹", "examples": ["到哪了", "没动"]}, "退款"]',
        ' {"id": 1, "labels": [{"name": " 物流 ", "description": "包裹", "examples": ["到哪了", "没动"]}, "退款"]}',
    ],
)
def test_tables_and_lists_are_read_alike(document):
    assert imported(document)[1].labels == (
        Label(name="物流", description="包裹", examples=("到哪了", "没动")),
        Label(name="退款"),
    )


def test_text_with_commas_and_quotes_is_quoted_in_a_table():
    (label,) = imported('name,description\n"a, ""b""","x\ny"\n')[1].labels
    assert (label.name, label.description) == ('a, "b"', "x y")


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ('{"labels": ["a", {"name": "退款", "description": 7}]}', "Label 2 (“退款”): description: "),
        ('["a", {"name": "退款", "examples": "x"}]', "Label 2 (“退款”): examples: "),
        ('["a", {"name": "退款", "exampels": []}]', "Label 2 (“退款”): exampels: there is no such field"),
        ('["a", {"description": "x"}]', "Label 2: name: "),
        ('["a", 7]', "Label 2: a label must be a name"),
        ('["a", "a"]', "“a” appears twice"),
        ('["a", " "]', "blank"),
        ('["' + "x" * 201 + '"]', "has 201 characters"),
        ('[{"name": "退款", "description": "' + "x" * 501 + '"}]', "Label 1 (“退款”): description: "),
        ("[]", "at least one label"),
        ('{"name": "x"}', "labels: "),
        ('{"labels": ["a"', "not valid JSON"),
        ('{"labels": ["a"], "template": "x"}', "exactly once"),
        ('{"labels": ["a"], "threshold": NaN}', "threshold: "),
        ("a,b\nc,d", "The first row must name the columns"),
        ("", "The file is empty"),
        ("name\n", "no data rows"),
        ("name,colour\na,red", "Unknown column “colour”"),
        ("name,name\na,b", "appears twice"),
        ("name,description\na,x\n,y", "Row 3 has no name"),
        ("\n\nname,description\na,x\n,y", "Row 5 has no name"),
        ("name,description\na,x,y", "Row 2 (“a”) has more cells"),
        ("name,examples\na,x\nb," + "|".join(["x"] * 21), "Row 3 (“b”): examples: "),
        ("name,examples\na," + "x" * 501, "Row 2 (“a”): examples: "),
        ('name\n"a', "Row 2 (line 2): a quote opens here and is never closed"),
        ("name\na\na", "“a” appears twice"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(document, problem):
    with pytest.raises((InvalidLabels, InvalidTable, InvalidTemplate, InvalidRequest)) as refused:
        imported(document)
    assert problem in refused.value.detail


def test_a_thousand_labels_are_read():
    names = [f"标签{number}" for number in range(1000)]
    assert list(imported("name\n" + "\n".join(names))[1].names) == names
    assert list(imported(json.dumps(names))[1].names) == names
    with pytest.raises(InvalidLabels, match="1000"):
        imported("name\n" + "\n".join([*names, "one more"]))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_files_come_in_the_encodings_that_spreadsheets_write(encoding):
    assert decoded("name\n物流配送\n".encode(encoding)) == "name\n物流配送\n"


def test_a_file_that_is_no_text_is_refused():
    with pytest.raises(InvalidLabels, match="Save it as UTF-8"):
        decoded(b"PK\x03\x04\xff\xff\xff\xff")
