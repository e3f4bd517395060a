"""Whoever has no mouse gets everywhere, and sees where they are."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.browser import Browser
from tests.browser.looks import PHONE, Look, Screen
from tests.browser.site import Site
from tests.browser.tickets import LABELS, write_tickets

#: Numbers what a person may use on the page as it is, one of each group of radio buttons, and names it for messages.
_CONTROLS = """
const groups = new Set();
window.numbered = new Map([...document.querySelectorAll("a[href], button, input, select, textarea, summary")]
  .filter(each => each.type !== "hidden" && !each.disabled && each.tabIndex >= 0)
  .filter(each => each.checkVisibility({visibilityProperty: true}))
  .filter(each => each.type !== "radio" || !groups.has(each.name) && groups.add(each.name))
  .map((each, number) => [each.type === "radio" ? each.name : each, `${number} ${each.outerHTML.slice(0, 120)}`]));
return [...window.numbered.values()];
"""
_FOCUSED = """
const each = document.activeElement;
if (each === document.body) return null;
// A control that is hidden under something nicer shows its focus there.
const styles = [each, ...(each.labels || []), each.parentElement].map(place => getComputedStyle(place));
const seen = styles.some(style => style.outlineStyle !== "none" || style.boxShadow !== "none");
return [window.numbered.get(each.type === "radio" ? each.name : each) || each.outerHTML.slice(0, 120), seen];
"""
_MOST = 300


@pytest.fixture(scope="module")
def tagged(site: Site, tmp_path_factory: pytest.TempPathFactory) -> str:
    return site.ended_job(write_tickets(tmp_path_factory.mktemp("file") / "工单.csv"), LABELS, text_column="内容")


@pytest.mark.parametrize(
    "path", ["/", "/upload", "/jobs", "/jobs/{job}", "/jobs/{job}/review", "/label-sets/new", "/webhooks"]
)
def test_tab_reaches_every_control_and_shows_where_it_is(browser: Browser, tagged: str, path: str) -> None:
    browser.wear(Look())
    browser.open(path.replace("{job}", tagged))
    browser.find("//h1")
    controls = browser.run(_CONTROLS)
    assert len(controls) >= 7, "the head alone has as many"

    reached: dict[str, bool] = {}
    for _ in range(_MOST):
        browser.type_keys(Keys.TAB)
        focused = browser.run(_FOCUSED)
        if focused is None:  # behind the last one, and on to the first
            continue
        if focused[0] in reached:
            break
        reached[focused[0]] = focused[1]

    assert set(controls) - set(reached) == set()
    assert [name for name, seen in reached.items() if not seen] == []


def test_the_first_tab_leads_past_the_head(browser: Browser) -> None:
    browser.wear(Look())
    browser.open("/jobs")

    browser.tab()
    browser.type_keys(Keys.ENTER)
    browser.wait(lambda: browser.path == "/jobs#main", "the content")
    inside = "return document.activeElement.closest('main') !== null || document.activeElement === document.body"
    browser.wait(lambda: browser.run(inside), "the focus behind the head")
    browser.tab()
    assert browser.run("return document.activeElement.closest('header') === null")


@pytest.mark.parametrize("screen", [PHONE], ids=lambda screen: screen.name)
def test_a_table_wider_than_the_screen_is_scrolled_by_keyboard(browser: Browser, tagged: str, screen: Screen) -> None:
    browser.wear(Look(screen=screen))
    browser.open(f"/jobs/{tagged}")
    table = browser.find("//main//div[@class='scroll'][@tabindex='0']")
    browser.run("arguments[0].focus()", table)

    browser.type_keys(Keys.ARROW_RIGHT)

    browser.wait(lambda: browser.run("return arguments[0].scrollLeft", table) > 0, "a table scrolled sideways")
