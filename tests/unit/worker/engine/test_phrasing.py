from __future__ import annotations

from worker.engine.phrasing import Part, Phrasing, Phrasings, label_recipe, strings_that_must_fit, zero_recipe
from yeban.labels import Label, LabelSet

PHRASINGS = Phrasings(
    east_asian=Phrasing(frames=("{}。", "关于{}"), nothing=("其他", "某事")),
    other=Phrasing(frames=("{}.", "About {}"), nothing=("other",)),
)


def recipe(label: Label, template: str = "{}") -> tuple[Part, ...]:
    return label_recipe(label, template, PHRASINGS, text_prefix="t:", label_prefix="l:")


def test_a_label_is_put_into_sentences_of_its_own_language() -> None:
    assert recipe(Label(name="物流")) == (Part(strings=("l:物流。", "l:关于物流")),)
    assert recipe(Label(name="shipping")) == (Part(strings=("l:shipping.", "l:About shipping")),)
    assert PHRASINGS.of("iPhone手机") is PHRASINGS.of("カメラ") is PHRASINGS.of("배송") is PHRASINGS.east_asian
    assert PHRASINGS.of("café Ω") is PHRASINGS.other


def test_a_template_takes_the_place_of_the_sentences() -> None:
    assert recipe(Label(name="物流"), "工单：{}") == (Part(strings=("l:工单：物流",)),)
    zero = zero_recipe(Label(name="物流"), "工单：{}", PHRASINGS, label_prefix="l:")
    assert zero == (Part(strings=("l:工单：其他", "l:工单：某事")),)


def test_description_and_examples_are_parts_and_examples_weigh_by_their_number() -> None:
    label = Label(name="a", description="what it is", examples=("one", "two"))

    assert recipe(label)[1:] == (Part(strings=("l:what it is",)), Part(strings=("t:one", "t:two"), weight=0.5))


def test_examples_may_be_cut_but_names_and_descriptions_must_fit() -> None:
    label_set = LabelSet(labels=(Label(name="a", description="d", examples=("e",)),))

    assert strings_that_must_fit(label_set, PHRASINGS, "l:") == [("a", "l:a."), ("a", "l:About a"), ("a", "l:d")]


def test_a_label_with_braces_is_taken_literally() -> None:
    assert recipe(Label(name="{}"))[0].strings == ("l:{}.", "l:About {}")
