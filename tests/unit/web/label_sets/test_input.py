from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.properties import examples
from web.label_sets.input import (
    LabelObject,
    LabelSetObject,
    Reference,
    label_set,
    labels_of_form,
    labels_text,
    reference,
)
from yeban.errors import InvalidLabels, InvalidRequest
from yeban.labels import LabelSet


def _names(labels) -> list[str]:
    return list(label_set(labels, template="{}", multi_label=False, threshold=None).names)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["a, b，c"], ["a", "b", "c"]),
        (["a\r\nb\n\nc"], ["a", "b", "c"]),
        (["a、b 、\nc、"], ["a", "b", "c"]),
        (["a、b", "c"], ["a、b", "c"]),
        (["a,b", "c"], ["a,b", "c"]),
        (['["a,b", {"name": " c ", "examples": ["x"]}]'], ["a,b", "c"]),
    ],
)
def test_form_fields_become_names(values, names):
    assert _names(labels_of_form(values)) == names


@pytest.mark.parametrize("value", ["[", "[1]", '["a"', '[{"nam": "a"}]', "[[]]"])
def test_a_broken_list_is_refused(value):
    with pytest.raises(InvalidLabels):
        labels_of_form([value])


def test_help_for_the_model_is_kept():
    given = LabelObject(name="a", description="about a", examples=["one"])
    (label,) = label_set([given], template="{}", multi_label=False, threshold=None).labels
    assert (label.description, label.examples) == ("about a", ("one",))


def test_none_at_all_is_refused():
    with pytest.raises(InvalidLabels):
        _names(labels_of_form([]))


@examples(200)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1), st.sampled_from("\n,"))
def test_names_written_into_a_field_are_read_again(names, joiner):
    try:
        wanted = LabelSet.of([name.strip() for name in names]).names
    except InvalidLabels:
        return
    assert tuple(_names(labels_of_form([labels_text(wanted, joiner)]))) == wanted


ID = uuid.UUID("b5d3ce22-395b-4405-9388-8130e468e26e")


@pytest.mark.parametrize(
    ("given", "version"),
    [
        (str(ID), None),
        (f"{ID}@7", 7),
        (LabelSetObject(id=str(ID)), None),
        (LabelSetObject(id=str(ID), version=7), 7),
        (LabelSetObject(id=f"{ID}@7"), 7),
    ],
)
def test_a_saved_set_is_named_in_several_ways(given, version):
    assert reference(given) == Reference(id=ID, version=version)


@pytest.mark.parametrize(
    "given",
    ["", "x", "-" * 36, f"{ID}@", f"{ID}@0", f"{ID}@-1", f"{ID}@x", f"{ID}@1 ", f" {ID}", f"{ID}@{10**10}", f"{ID}@１"],
)
def test_what_names_no_set_is_refused(given):
    with pytest.raises(InvalidRequest, match="label_set"):
        reference(given)
