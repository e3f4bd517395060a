"""A person keeps labels for the next time."""

from __future__ import annotations

import pytest
from selenium.webdriver.support.select import Select

from tests.browser.audit import audit
from tests.browser.browser import Browser
from tests.browser.looks import TWO_LOOKS, Look
from tests.browser.pages import ClassifyPage, LabelSetForm
from tests.browser.tickets import LABELS, TICKETS

NEW = "投诉"
COLUMNS = ("name", "description", "examples")


@pytest.mark.parametrize("look", TWO_LOOKS, ids=str)
def test_a_label_set_is_made_changed_and_used(browser: Browser, look: Look) -> None:
    browser.wear(look)
    name = f"售后 {TWO_LOOKS.index(look)}"
    form = LabelSetForm(browser)
    browser.open("/label-sets")
    audit(browser, *COLUMNS)
    browser.follow("New label set")
    audit(browser, *COLUMNS)

    form.enter(name, LABELS, descriptions={LABELS[0]: "包裹到了哪里，何时能到"})
    form.save("Save")
    audit(browser, *COLUMNS)
    browser.follow("Edit")
    form.add(NEW)
    audit(browser, *COLUMNS)
    form.save("Save as a new version")
    assert "包裹到了哪里，何时能到" in browser.text("//main//table")
    assert NEW in browser.text("//main//table")
    audit(browser, *COLUMNS)

    browser.follow("Use on a text")
    page = ClassifyPage(browser)
    browser.fill("text", TICKETS[0][0])
    audit(browser, *COLUMNS)
    browser.press("Classify")
    assert set(page.scores()) == {*LABELS, NEW}
    assert next(iter(page.scores())) == TICKETS[0][1]
    page.open()
    Select(browser.find("//main//select[@id='saved']")).select_by_visible_text(name)
    browser.wait(lambda: name in browser.find("//main//*[@id='from-set']").text, "what was loaded")
    browser.fill("text", TICKETS[0][0])
    browser.press("Classify")
    assert set(page.scores()) == {*LABELS, NEW}
    browser.open("/label-sets")
    assert name in browser.text("//main//table")
    audit(browser, *COLUMNS)
