"""What went wrong is where a person looks first, by eye, by ear and by keyboard."""

from __future__ import annotations

import httpx
import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.audit import audit
from tests.browser.browser import Browser
from tests.browser.looks import LOOKS, Look
from tests.browser.site import Site

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


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_a_form_of_a_session_that_is_over_is_kept_and_can_be_sent_again(
    browser: Browser, look: Look, site: Site
) -> None:
    browser.wear(look)
    browser.open("/label-sets/new")
    browser.fill("name", "售后")
    for field, words in (("label", "物流"), ("description", "包裹、快递的去向")):
        browser.find(f"//main//*[@name='{field}']").send_keys(words)
    browser.driver.delete_cookie("yeban_session")
    browser.follow("Save")

    assert "包裹、快递的去向" in browser.text("//main//form[@id='again']")
    browser.wait(lambda: browser.run(_FOCUSED) == "problem", "the focus on what went wrong")
    audit(browser, "cookie", status=403)
    browser.follow("Send again")

    assert browser.path.startswith("/label-sets/")
    assert not browser.path.endswith("/new")
    assert "包裹、快递的去向" in browser.text("//main")
    httpx.delete(f"{site.url}/api/v1{browser.path}").raise_for_status()
