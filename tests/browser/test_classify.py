"""A person tries one text."""

from __future__ import annotations

import pytest

from tests.browser.audit import audit
from tests.browser.browser import Browser
from tests.browser.looks import LOOKS, PHONE, Look
from tests.browser.pages import ClassifyPage
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


def test_what_is_wrong_is_said_beside_what_was_entered(browser: Browser) -> None:
    browser.wear(Look(language="zh", theme="dark", screen=PHONE))
    page = ClassifyPage(browser)
    page.open()

    page.tag("包裹三天没动了", "物流,物流")

    assert "物流" in browser.find("//main//*[@role='alert']").text
    assert browser.named("text").get_attribute("value") == "包裹三天没动了"


def test_a_text_is_tagged_without_scripts(browser_without_scripts: Browser) -> None:
    browser_without_scripts.wear(Look())
    page = ClassifyPage(browser_without_scripts)
    page.open()
    text, label = TICKETS[4]

    page.tag(text, ",".join(LABELS))

    assert next(iter(page.scores())) == label
    assert browser_without_scripts.path.startswith("/#result"), "the answer came as a page, not by a script"
    assert browser_without_scripts.said() == []


def test_colours_follow_the_system_until_a_person_chooses(browser: Browser) -> None:
    def brightness() -> float:
        colour = browser.run("return getComputedStyle(document.body).backgroundColor")
        return sum(map(float, colour.removeprefix("rgb(").removesuffix(")").split(","))) / (3 * 255)

    browser.wear(Look(theme="auto"))
    browser.prefer("light")
    browser.open("/")
    assert brightness() > 0.9
    browser.prefer("dark")
    assert brightness() < 0.2
    audit(browser)

    browser.wear(Look(theme="light"))
    browser.prefer("dark")
    browser.open("/")
    assert brightness() > 0.9
