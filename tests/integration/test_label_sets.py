"""Saved label sets in a real PostgreSQL."""

from __future__ import annotations

import threading
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from tests.fixtures.properties import examples
from tests.fixtures.waiting import wait_until
from yeban import label_sets
from yeban.accounts.viewer import UNRESTRICTED, Viewer
from yeban.errors import Conflict, InvalidLabels, InvalidRequest, InvalidTemplate, NotFound, TooLarge, YebanError
from yeban.labels import Label, LabelSet

ANNA = Viewer(name="anna", team="care")
BOB = Viewer(name="bob", team="care")
EVE = Viewer(name="eve", team="sales")
LONER = Viewer(name="loner")

_WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")


def _create(database, name="售后", labels="物流,退款", *, viewer=UNRESTRICTED, **options):
    return label_sets.create(database, name, LabelSet.of(labels, **options), viewer=viewer)


def test_a_set_is_kept_as_it_was_given(database):
    given = LabelSet(
        labels=(Label(name="物流", description="包裹", examples=("到哪了", "没动")), Label(name="<b>'\"\\|")),
        template="这是{}",
        threshold=0.1,
    )
    saved = label_sets.create(database, " 售后 ", given, viewer=ANNA)
    found = label_sets.get_set(database, saved.id, viewer=ANNA)
    assert found == saved
    assert found.content.label_set == given
    assert (found.name, found.owner, found.newest) == ("售后", "anna", 1)
    assert (found.content.version, found.content.author) == (1, "anna")


def test_each_version_stays_as_it_was(database):
    saved = _create(database)
    for number, labels in enumerate(["物流,退款,发票", "发票"], 1):
        label_sets.save(database, saved.id, LabelSet.of(labels), base=number, viewer=UNRESTRICTED)
    names = [
        label_sets.get_set(database, saved.id, version=version, viewer=UNRESTRICTED).content.label_set.names
        for version in (1, 2, 3)
    ]
    assert names == [("物流", "退款"), ("物流", "退款", "发票"), ("发票",)]


def test_whoever_may_not_see_a_set_may_do_nothing_with_it(database):
    saved = _create(database, viewer=ANNA)
    assert label_sets.get_set(database, saved.id, viewer=BOB).name == "售后"  # of the team
    for stranger in (EVE, LONER):
        for attempt in (
            lambda viewer=stranger: label_sets.get_set(database, saved.id, viewer=viewer),
            lambda viewer=stranger: label_sets.list_versions(database, saved.id, viewer=viewer),
            lambda viewer=stranger: label_sets.save(database, saved.id, LabelSet.of("x"), base=1, viewer=viewer),
            lambda viewer=stranger: label_sets.restore(database, saved.id, 1, base=1, viewer=viewer),
            lambda viewer=stranger: label_sets.rename(database, saved.id, "mine", viewer=viewer),
            lambda viewer=stranger: label_sets.delete(database, saved.id, viewer=viewer),
        ):
            with pytest.raises(NotFound):
                attempt()
        assert label_sets.list_sets(database, viewer=stranger).sets == ()
    assert label_sets.get_set(database, saved.id, viewer=ANNA) == saved


def test_of_two_who_edit_at_once_the_second_is_told(database):
    saved = _create(database)
    label_sets.save(database, saved.id, LabelSet.of("a"), base=1, viewer=Viewer(name="anna", sees_all=True))
    with pytest.raises(Conflict) as refused:
        label_sets.save(database, saved.id, LabelSet.of("b"), base=1, viewer=UNRESTRICTED)
    assert refused.value.context["version"] == 2
    assert "anna" in refused.value.detail
    assert label_sets.get_set(database, saved.id, viewer=UNRESTRICTED).content.label_set.names == ("a",)


def test_of_many_who_save_in_the_same_moment_one_wins(database):
    saved = _create(database)
    ready = threading.Barrier(6)
    outcomes: list[object] = []

    def edit(number: int) -> None:
        ready.wait(120)
        try:
            label_sets.save(database, saved.id, LabelSet.of(f"mine {number}"), base=1, viewer=UNRESTRICTED)
            outcomes.append(f"mine {number}")
        except YebanError as error:
            outcomes.append(type(error))

    threads = [threading.Thread(target=edit, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    winners = [outcome for outcome in outcomes if isinstance(outcome, str)]
    assert len(outcomes) == 6
    assert len(winners) == 1
    assert outcomes.count(Conflict) == 5
    found = label_sets.get_set(database, saved.id, viewer=UNRESTRICTED)
    assert (found.newest, found.content.label_set.names) == (2, (winners[0],))


def test_a_save_waits_for_one_that_is_under_way_and_is_told_of_it(database):
    saved = _create(database)
    outcome: list[object] = []

    def edit() -> None:
        try:
            label_sets.save(database, saved.id, LabelSet.of("b"), base=1, viewer=UNRESTRICTED)
        except YebanError as error:
            outcome.append(type(error))

    def is_waiting() -> bool:
        # In a transaction of its own, which would otherwise see the same all along.
        with database.begin() as connection:
            return connection.scalar(_WAITING) == 1

    with database.begin() as other:
        other.execute(text("UPDATE label_set SET name = 'locked' WHERE public_id = :id"), {"id": saved.id})
        other.execute(
            text(
                "INSERT INTO label_set_version (label_set_id, version, content)"
                " SELECT label_set_id, 2, content FROM label_set_version"
            )
        )
        thread = threading.Thread(target=edit)
        thread.start()
        wait_until(is_waiting)
    thread.join(120)
    assert outcome == [Conflict]


def test_saving_what_is_there_already_adds_no_version(database):
    saved = _create(database)
    assert label_sets.save(database, saved.id, saved.content.label_set, base=1, viewer=UNRESTRICTED) == saved


def test_a_restored_version_is_a_new_one(database):
    saved = _create(database)
    label_sets.save(database, saved.id, LabelSet.of("other"), base=1, viewer=UNRESTRICTED)
    restored = label_sets.restore(database, saved.id, 1, base=2, viewer=Viewer(name="bob", sees_all=True))
    assert (restored.newest, restored.content.label_set.names) == (3, ("物流", "退款"))
    past = label_sets.list_versions(database, saved.id, viewer=UNRESTRICTED)
    assert [(version.version, version.labels, version.author) for version in past] == [
        (3, 2, "bob"),
        (2, 1, ""),
        (1, 2, ""),
    ]
    with pytest.raises(NotFound, match="no version 9"):
        label_sets.restore(database, saved.id, 9, base=3, viewer=UNRESTRICTED)


@pytest.mark.parametrize("version", [0, -1, 2, 2**31, 2**70])
def test_a_version_that_there_is_not_is_told(database, version):
    saved = _create(database)
    with pytest.raises(NotFound, match="no version"):
        label_sets.get_set(database, saved.id, version=version, viewer=UNRESTRICTED)


def test_names_are_unique_for_each_owner(database):
    first = _create(database, viewer=ANNA)
    _create(database, viewer=BOB)
    with pytest.raises(Conflict, match="already"):
        _create(database, "售后\n", viewer=ANNA)
    other = _create(database, "others", viewer=ANNA)
    with pytest.raises(Conflict, match="already"):
        label_sets.rename(database, other.id, "售后", viewer=ANNA)
    with pytest.raises(Conflict, match="already"):
        label_sets.save(database, other.id, LabelSet.of("x"), base=1, name="售后", viewer=ANNA)
    assert label_sets.get_set(database, other.id, viewer=ANNA) == other
    label_sets.delete(database, first.id, viewer=ANNA)
    label_sets.rename(database, other.id, "售后", viewer=BOB)
    assert label_sets.get_set(database, other.id, viewer=ANNA).name == "售后"


def test_a_deleted_set_is_gone(database):
    saved = _create(database)
    label_sets.delete(database, saved.id, viewer=UNRESTRICTED)
    with pytest.raises(NotFound):
        label_sets.get_set(database, saved.id, viewer=UNRESTRICTED)
    with pytest.raises(NotFound):
        label_sets.delete(database, saved.id, viewer=UNRESTRICTED)
    assert label_sets.list_sets(database, viewer=UNRESTRICTED).sets == ()


def test_of_a_deleted_set_nothing_is_kept_and_others_stay(database):
    deleted, kept = _create(database, "one"), _create(database, "another")
    label_sets.delete(database, deleted.id, viewer=UNRESTRICTED)
    assert label_sets.remove_deleted(database) == 1
    with database.begin() as connection:
        held = connection.execute(text("SELECT public_id FROM label_set JOIN label_set_version ON label_set_id = id"))
        assert [row.public_id for row in held] == [kept.id]
    assert label_sets.remove_deleted(database) == 0


def test_sets_are_listed_newest_first_in_pages(database):
    for number in range(5):
        _create(database, f"set {number}", ",".join("abcdefghij"))
    newest = label_sets.list_sets(database, viewer=UNRESTRICTED).sets[0]
    label_sets.save(database, newest.id, LabelSet.of("x,y"), base=1, viewer=UNRESTRICTED)
    names, before = [], None
    while True:
        page = label_sets.list_sets(database, viewer=UNRESTRICTED, before=before, limit=2)
        names += [(found.name, found.newest, found.labels, tuple(found.first_labels)) for found in page.sets]
        before = page.next_before
        if before is None:
            break
    assert names == [
        ("set 4", 2, 2, ("x", "y")),
        *((f"set {number}", 1, 10, tuple("abcdef")) for number in (3, 2, 1, 0)),
    ]


@pytest.mark.parametrize("name", ["", " \n ", "x" * 101, "a\x00b"])
def test_a_name_that_is_none_is_refused(database, name):
    with pytest.raises(InvalidRequest, match="1 to 100 characters"):
        _create(database, name)
    saved = _create(database)
    with pytest.raises(InvalidRequest):
        label_sets.rename(database, saved.id, name, viewer=UNRESTRICTED)


@pytest.mark.parametrize(
    ("label", "problem"),
    [
        (Label(name="退款", description="x" * 501), "description of the label “退款” has 501"),
        (Label(name="退款", examples=("x" * 501,)), "example of the label “退款” has 501"),
        (Label(name="退款", examples=("x",) * 21), "label “退款” has 21 examples"),
        (Label(name="退款", description="a\x00"), "label “退款” contains a NUL"),
        (Label(name="物\n流"), "appears twice"),
    ],
)
def test_what_is_wrong_with_a_label_names_it(database, label, problem):
    with pytest.raises(InvalidLabels, match=problem):
        label_sets.create(database, "x", LabelSet(labels=(Label(name="物 流"), label)), viewer=UNRESTRICTED)


def test_a_set_has_an_end(database):
    huge = tuple(Label(name=f"{number}", examples=("长" * 500,) * 20) for number in range(31))
    with pytest.raises(TooLarge, match="300000"):
        label_sets.create(database, "x", LabelSet(labels=huge), viewer=UNRESTRICTED)


def test_a_thousand_labels_are_kept(database):
    full = LabelSet(labels=tuple(Label(name=f"{number:04}" + "😀" * 196) for number in range(1000)))
    saved = label_sets.create(database, "full", full, viewer=UNRESTRICTED)
    assert label_sets.get_set(database, saved.id, viewer=UNRESTRICTED).content.label_set == full


def test_no_such_set(database):
    with pytest.raises(NotFound):
        label_sets.get_set(database, uuid.uuid4(), viewer=UNRESTRICTED)


_STRINGS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@examples(30)
@given(
    labels=st.lists(st.builds(Label, name=_STRINGS, description=_STRINGS, examples=st.lists(_STRINGS).map(tuple))),
    template=_STRINGS.map(lambda text: text.replace("{}", "") + "{}"),
    multi_label=st.booleans(),
    threshold=st.none() | st.floats(0, 1),
)
def test_whatever_is_stored_is_found_again(database, labels, template, multi_label, threshold):
    try:
        label_set = LabelSet(labels=tuple(labels), template=template, multi_label=multi_label, threshold=threshold)
        stored = label_set.normalized()
    except (InvalidLabels, InvalidTemplate):
        return
    assert stored.normalized() == stored
    saved = label_sets.create(database, uuid.uuid4().hex, label_set, viewer=UNRESTRICTED)
    assert label_sets.get_set(database, saved.id, viewer=UNRESTRICTED).content.label_set == stored
