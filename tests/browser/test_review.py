"""A person looks at the rows in doubt, and corrects them."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.audit import audit
from tests.browser.browser import Browser
from tests.browser.looks import LOOKS, PHONE, Look
from tests.browser.pages import JobPage, ReviewPage
from tests.browser.site import Site
from tests.browser.tickets import LABELS, read_rows, write_tickets

OTHER = "别的"
MANY = [*LABELS, *(f"分类{number:02}" for number in range(4, 13)), "Out of stock"]


@pytest.fixture
def tagged(site: Site, tmp_path: Path) -> str:
    """A job that has ended; one of its labels fits no row."""
    return site.ended_job(write_tickets(tmp_path / "工单.csv"), [*LABELS, OTHER], text_column="内容")


@pytest.fixture
def many(site: Site, tmp_path: Path) -> str:
    """A job with more labels than a row shows."""
    return site.ended_job(write_tickets(tmp_path / "工单.csv"), MANY, text_column="内容")


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_a_corrected_row_is_exported_with_who_corrected_it(browser: Browser, look: Look, tagged: str) -> None:
    browser.wear(look)
    job, review = JobPage(browser), ReviewPage(browser)
    job.open(tagged)
    predicted = [row["yeban_label"] for row in read_rows(job.download("CSV"))]
    job.review()
    audit(browser)
    row = review.rows()[0]

    review.sign("小王")
    review.say_that(row, OTHER)
    review.save()
    assert row not in review.rows(), "the next rows"

    audit(browser)
    (corrected,) = review.corrected()
    assert OTHER in corrected
    assert "小王" in corrected
    job.open(tagged)
    exported = read_rows(job.download("CSV"))
    (changed,) = [n for n, each in enumerate(exported, 1) if each["yeban_corrected"] == "yes"]
    assert changed == row
    found = exported[row - 1]
    assert (found["yeban_label"], found["yeban_predicted"], found["yeban_corrected_by"]) == (
        OTHER,
        predicted[row - 1],
        "小王",
    )
    assert found["yeban_corrected_at"].startswith("20")


def test_rows_are_reviewed_with_the_keyboard_alone(browser: Browser, site: Site, tagged: str) -> None:
    browser.wear(Look())
    review = ReviewPage(browser)
    review.open(tagged)
    first, second, third, *_ = review.rows()
    assert review.current() == first

    browser.type_keys(review.key_of(first, OTHER))
    browser.wait(lambda: review.current() == second, "the second row")
    browser.type_keys("s")
    browser.wait(lambda: review.current() == third, "the third row")
    browser.type_keys(Keys.ENTER)
    browser.wait(lambda: site.look_at(tagged)["corrections"] == 2, "two corrections")
    browser.type_keys("u")
    browser.wait(lambda: site.look_at(tagged)["corrections"] == 1, "one taken back")
    assert review.current() == third
    browser.type_keys("0")
    browser.wait(lambda: site.look_at(tagged)["corrections"] == 2, "none of them")

    review.open(tagged)
    assert sorted(text.split()[0] for text in review.corrected()) == sorted([str(first + 1), str(third + 1)])
    audit(browser)


def test_of_many_labels_each_keeps_its_key_in_every_row(browser: Browser, site: Site, many: str) -> None:
    browser.wear(Look())
    review = ReviewPage(browser)
    review.open(many)
    audit(browser)
    keys = review.told_keys()
    assert keys == dict(zip(MANY, "123456789abcd", strict=True))
    first, second, *_ = review.rows()
    for row in (first, second):
        assert {label: review.key_of(row, label) for label in review.labels(row)}.items() <= keys.items()

    wanted = next(label for label in reversed(MANY) if label not in review.labels(first))
    browser.type_keys(keys[wanted])
    browser.wait(lambda: review.current() == second, "the second row")

    browser.wait(lambda: site.look_at(many)["corrections"] == 1, "a correction")
    review.open(many)
    (corrected,) = review.corrected()
    assert wanted in corrected


def test_of_many_labels_any_is_found_by_a_part_of_its_name(browser: Browser, site: Site, many: str) -> None:
    browser.wear(Look())
    review = ReviewPage(browser)
    review.open(many)
    first, second, *_ = review.rows()

    browser.type_keys("/", "分类", Keys.ENTER)
    browser.wait(lambda: "9 labels match" in review.said(), "a word that it is unclear")
    assert review.current() == first
    browser.type_keys(*(Keys.BACKSPACE,) * 2, "no such", Keys.ENTER)
    browser.wait(lambda: "No label matches" in review.said(), "a word that there is none")
    browser.type_keys(*(Keys.BACKSPACE,) * 7, "of STOCK", Keys.ENTER)
    browser.wait(lambda: review.current() == second, "the second row")

    browser.wait(lambda: site.look_at(many)["corrections"] == 1, "a correction")
    review.open(many)
    (corrected,) = review.corrected()
    assert "Out of stock" in corrected
    audit(browser)


def test_where_several_apply_keys_turn_labels_on_that_the_row_does_not_show(
    browser: Browser, site: Site, tmp_path: Path
) -> None:
    job = site.ended_job(write_tickets(tmp_path / "工单.csv"), MANY, text_column="内容", multi_label="true")
    browser.wear(Look())
    review = ReviewPage(browser)
    review.open(job)
    first, second, *_ = review.rows()
    keys = review.told_keys()
    one, two, three = [label for label in MANY if label not in review.labels(first)][:3]

    browser.type_keys(keys[one], keys[two], keys[three], keys[two], Keys.ENTER)
    browser.wait(lambda: review.current() == second, "the second row")
    browser.wait(lambda: site.look_at(job)["corrections"] == 1, "a correction")

    review.open(job)
    (corrected,) = review.corrected()
    assert one in corrected
    assert three in corrected
    assert two not in corrected


def test_of_many_labels_a_phone_has_the_list(browser: Browser, many: str) -> None:
    browser.wear(Look(screen=PHONE))
    browser.touch(enabled=True)
    ReviewPage(browser).open(many)
    audit(browser)
    assert browser.labelled("Another label").is_displayed()
    try:
        assert browser.run("return matchMedia('(pointer: coarse)').matches")
        assert not browser.has("//main//input[@type='search']")
        assert not browser.has("//main//kbd")
    finally:
        browser.touch(enabled=False)


def test_rows_are_reviewed_without_scripts(browser_without_scripts: Browser, site: Site, tagged: str) -> None:
    browser = browser_without_scripts
    browser.wear(Look())
    review = ReviewPage(browser)
    review.open(tagged)
    row = review.rows()[0]

    review.say_that(row, OTHER)
    review.save()

    assert row not in review.rows(), "the next rows"
    assert site.look_at(tagged)["corrections"] == 1
