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
    return site.job(write_tickets(tmp_path / "tickets.csv"), [*LABELS, OTHER], text_column="内容")


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_a_corrected_row_is_exported_as_corrected(browser: Browser, look: Look, tagged: str) -> None:
    browser.wear(look)
    job, review = JobPage(browser), ReviewPage(browser)
    job.open(tagged)
    job.review()
    audit(browser)
    row = review.rows()[0]

    review.say_that(row, OTHER)
    review.save()
    browser.wait(lambda: row not in review.rows(), "the next rows")

    audit(browser)
    job.open(tagged)
    exported = read_rows(job.download("CSV"))
    assert [n for n, each in enumerate(exported, 1) if each["yeban_label"] == OTHER] == [row]
    assert [n for n, each in enumerate(exported, 1) if each["yeban_corrected"] == "yes"] == [row]


def test_a_row_is_corrected_with_the_keyboard_alone(browser: Browser, site: Site, tagged: str) -> None:
    browser.wear(Look())
    browser.open(f"/jobs/{tagged}/review")
    row = ReviewPage(browser).rows()[0]
    for _ in range(40):
        if browser.tab().get_attribute("name") == f"row-{row}":
            break
    browser.type_keys(Keys.END, Keys.ARROW_UP)
    for _ in range(40):
        if browser.tab().text == browser.look.say("Save"):
            break
    browser.type_keys(Keys.ENTER)

    browser.wait(lambda: site.look_at(tagged)["corrections"] == 1, "a correction")
