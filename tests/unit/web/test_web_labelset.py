from __future__ import annotations

import pytest

from web.labelset import LabelObject, label_set, labels_of_form
from yeban.errors import InvalidLabels


def _names(labels) -> list[str]:
    return list(label_set(labels, template="{}", multi_label=False, threshold=None).names)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["a, b，c"], ["a", "b", "c"]),
        (["a\r\nb\n\nc"], ["a", "b", "c"]),
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
