"""What went wrong is where a person looks first, by eye, by ear and by keyboard."""

from __future__ import annotations

from selenium.webdriver.common.keys import Keys

from tests.browser.browser import Browser
from tests.browser.looks import Look

_FOCUSED = "return document.activeElement.id"


def test_a_page_that_comes_back_with_a_problem_begins_there(browser: Browser) -> None:
    browser.wear(Look(language="zh"))
    browser.open("/jobs/00000000-0000-0000-0000-000000000000")

    assert browser.run(_FOCUSED) == "problem"
    assert browser.run("return document.activeElement.getAttribute('role')") == "alert"

    browser.type_keys(Keys.TAB)
    assert browser.run("return document.activeElement.closest('main') !== null")


def test_a_page_without_one_leaves_the_focus_as_it_is(browser: Browser) -> None:
    browser.wear(Look())
    browser.open("/")

    browser.wait(lambda: browser.run(_FOCUSED) == "text", "the focus where the page begins")
