"""A person tries one text."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.audit import audit
from tests.browser.browser import Browser
from tests.browser.looks import LOOKS, PHONE, Look
from tests.browser.pages import ClassifyPage, enter_labels
from tests.browser.tickets import LABELS, TICKETS


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_a_text_is_tagged_and_its_bars_are_as_long_as_its_scores(browser: Browser, look: Look) -> None:
    browser.wear(look)
    page = ClassifyPage(browser)
    page.open()
    audit(browser)
    text, label = TICKETS[0]

    page.tag(text, ",".join(LABELS))

    scores = page.scores()
    assert next(iter(scores)) == label
    assert set(scores) == set(LABELS)
    assert sum(scores.values()) == pytest.approx(1, abs=0.002)
    assert list(scores.values()) == sorted(scores.values(), reverse=True)
    assert page.bars() == pytest.approx(list(scores.values()), abs=0.01)
    audit(browser)


def test_ctrl_enter_sends_what_was_typed_with_any_comma(browser: Browser) -> None:
    browser.wear(Look(language="zh", theme="dark"))
    page = ClassifyPage(browser)
    page.open()
    text, label = TICKETS[4]

    page.enter(text, f"{LABELS[0]}、{LABELS[1]}，{LABELS[2]}")
    browser.press_with_ctrl(Keys.ENTER)

    assert next(iter(page.scores())) == label
    assert set(page.scores()) == set(LABELS)


def test_a_label_given_twice_is_refused_with_a_word(browser: Browser) -> None:
    browser.wear(Look(screen=PHONE))
    page = ClassifyPage(browser)
    page.open()

    page.enter("包裹三天没动了", "物流,退款,物流,")

    assert "物流" in browser.find("//main//form//*[@role='status' and normalize-space()]").text
    audit(browser)
    browser.press("Classify")
    assert set(page.scores()) == {"物流", "退款"}


def test_a_text_is_tagged_without_scripts(browser_without_scripts: Browser) -> None:
    browser = browser_without_scripts
    browser.wear(Look())
    page = ClassifyPage(browser)
    page.open()
    text, label = TICKETS[4]

    page.tag(text, "、".join(LABELS))

    assert next(iter(page.scores())) == label
    assert browser.path.startswith("/#result"), "the answer came as a page, not by a script"
    assert browser.said() == []
    enter_labels(browser, f",{LABELS[0]}")
    browser.press("Classify")
    assert LABELS[0] in browser.find("//main//*[@role='alert']").text, "it is given twice"
    assert browser.named("text").get_attribute("value") == text


def test_colours_follow_the_system_until_a_person_chooses(browser: Browser) -> None:
    def brightness() -> float:
        colour = browser.run("return getComputedStyle(document.body).backgroundColor")
        return sum(map(float, colour.removeprefix("rgb(").removesuffix(")").split(","))) / (3 * 255)

    browser.wear(Look(theme="auto"))
    browser.prefer("light")
    browser.open("/")
    assert brightness() > 0.9
    browser.prefer("dark")
    browser.wait(lambda: brightness() < 0.2, "a dark page")
    audit(browser)

    browser.wear(Look(theme="light"))
    browser.prefer("dark")
    browser.open("/")
    assert brightness() > 0.9
