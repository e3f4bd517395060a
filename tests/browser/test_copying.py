"""What stands beside a button that copies it, taken elsewhere."""

from __future__ import annotations

import pytest

from tests.browser.browser import Browser
from tests.browser.looks import Look
from tests.browser.pages import ClassifyPage


@pytest.mark.parametrize(
    "clipboard",
    [
        "navigator.clipboard",
        pytest.param("undefined", id="over http from another machine"),
        pytest.param("{ writeText: () => Promise.reject(new Error()) }", id="not allowed"),
    ],
)
def test_a_command_is_copied_as_it_stands(browser: Browser, clipboard: str) -> None:
    browser.wear(Look(language="zh"))
    page = ClassifyPage(browser)
    page.open()
    page.tag("包裹三天没动了", "物流,退款")
    page.scores()
    browser.run(f"Object.defineProperty(navigator, 'clipboard', {{ value: {clipboard} }})")
    browser.press("Try it with curl")
    command = browser.find("//main//code[@id='as-curl']")

    command.find_element("xpath", "ancestor::details//button").click()

    browser.find(f"//main//button[.='{browser.look.say('Copied')}']")
    text = browser.named("text")
    text.clear()
    text.click()
    browser.press_with_ctrl("v")
    assert text.get_attribute("value") == command.get_attribute("textContent")
    browser.find(f"//main//details[.//@id='as-curl']//button[.='{browser.look.say('Copy')}']")
