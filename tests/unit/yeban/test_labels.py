import pytest
from hypothesis import given
from hypothesis import strategies as st

from yeban.errors import InvalidLabels, InvalidRequest, InvalidTemplate
from yeban.labels import Label, LabelSet, Status, split_labels


def test_a_label_string_splits_as_modelscope_does():
    assert split_labels(" 家居,旅游， 科技 ,, ，军事") == ["家居", "旅游", "科技", "军事"]


def test_hypotheses_fill_the_template_in_label_order():
    assert LabelSet.of("甲,乙", template="这是{}。").hypotheses == ("这是甲。", "这是乙。")


@pytest.mark.parametrize("labels", ["", " , ", [], ["甲", "甲"], ["甲", " 甲 "], ["x" * 201], ["a\x00b"], ["甲", " "]])
def test_bad_labels_are_refused(labels):
    with pytest.raises(InvalidLabels):
        LabelSet.of(labels)


def test_a_label_that_holds_the_joiner_cannot_be_one_of_several():
    assert LabelSet.of(["a|b"]).names == ("a|b",)
    with pytest.raises(InvalidLabels, match=r"a\|b"):
        LabelSet.of(["a|b"], multi_label=True)


@pytest.mark.parametrize("template", ["", "no place", "{}{}", "x" * 201 + "{}", "{}\x00"])
def test_bad_templates_are_refused(template):
    with pytest.raises(InvalidTemplate):
        LabelSet.of("甲", template=template)


@pytest.mark.parametrize("threshold", [-0.01, 1.01, float("nan")])
def test_a_threshold_is_a_probability(threshold):
    with pytest.raises(InvalidRequest):
        LabelSet.of("甲", threshold=threshold)


def test_single_label_takes_the_best_and_ties_go_to_the_first():
    decision = LabelSet.of("甲,乙,丙").decide([0.4, 0.4, 0.2])
    assert (decision.best, decision.assigned, decision.status) == (0, (0,), Status.OK)
    assert decision.margin == pytest.approx(0.0)


def test_under_the_threshold_a_text_abstains():
    decision = LabelSet.of("甲,乙", threshold=0.7).decide([0.6, 0.4])
    assert (decision.best, decision.assigned, decision.status) == (0, (), Status.ABSTAINED)


def test_multi_label_assigns_every_label_over_the_threshold():
    labels = LabelSet.of("甲,乙,丙", multi_label=True)
    decision = labels.decide([0.9, 0.1, 0.5])
    assert decision.assigned == (0, 2)
    assert decision.margin == pytest.approx(0.4)
    assert labels.decide([0.1, 0.2, 0.3]).status is Status.ABSTAINED


def test_one_label_has_its_score_as_margin():
    assert LabelSet.of("甲").decide([0.7]).margin == pytest.approx(0.7)


def test_scores_of_another_label_set_are_a_defect():
    with pytest.raises(ValueError, match="2 scores for 1 labels"):
        LabelSet.of("甲").decide([0.5, 0.5])


names = st.lists(
    st.text(st.characters(exclude_characters="\x00|", exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
        lambda name: bool(name.strip())
    ),
    min_size=1,
    max_size=8,
    unique=True,
)


@given(
    names,
    st.booleans(),
    st.none() | st.floats(0, 1),
    st.text(max_size=10).filter(lambda t: "{" not in t and "}" not in t and "\x00" not in t),
)
def test_a_snapshot_restores_the_label_set(names, multi_label, threshold, before):
    label_set = LabelSet(
        labels=tuple(Label(name=name, description="d", examples=("e",)) for name in names),
        template=before + "{}",
        multi_label=multi_label,
        threshold=threshold,
    )
    assert LabelSet.from_json(label_set.to_json()) == label_set
