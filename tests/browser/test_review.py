"""A person looks at the rows in doubt, and corrects them."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.audit import audit
from tests.browser.browser import Browser
from tests.browser.looks import LOOKS, Look
from tests.browser.pages import JobPage, ReviewPage
from tests.browser.site import Site
from tests.browser.tickets import LABELS, read_rows, write_tickets

OTHER = "别的"


@pytest.fixture
def tagged(site: Site, tmp_path: Path) -> str:
    """A job that has ended; one of its labels fits no row."""
    return site.ended_job(write_tickets(tmp_path / "工单.csv"), [*LABELS, OTHER], text_column="内容")


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
