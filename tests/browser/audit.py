"""What must hold for every page in every state: all can use it, it fits, and it wants nothing from elsewhere."""

from __future__ import annotations

from functools import cache
from typing import Any

from tests.browser.browser import Browser
from tests.browser.paths import VENDOR

#: The rules of WCAG 2.2 at AA that a program can check, and what else is known to help.
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_GRAVE = {"serious", "critical"}
#: Addresses that are not asked of any host. The browser draws its own controls with ``data:``.
_NOWHERE = ("about:", "blob:", "data:")
_RUN = """
const done = arguments[arguments.length - 1];
axe.run(document, {runOnly: arguments[0], resultTypes: ["violations"]})
  .then(found => done(found.violations), error => done([{id: String(error), impact: "critical", nodes: []}]));
"""


def audit(browser: Browser) -> None:
    """Fail where the page, as it is now, falls short; says how."""
    assert _faults(browser) == [], f"{browser.path} as {browser.look}"
    assert browser.said() == [], f"the console of {browser.path}"
    # Within an air gap nothing else answers, so a page that asks for it is slow or broken there.
    assert [url for url in browser.asked_for() if not url.startswith((browser.url, *_NOWHERE))] == []
    too_wide_px = browser.run("return document.documentElement.scrollWidth - window.innerWidth")
    assert too_wide_px <= 0, f"{browser.path} is {too_wide_px} px wider than the {browser.look.screen.name}"
    expected = {"en": "en", "zh": "zh-CN"}[browser.look.language]
    assert browser.run("return document.documentElement.lang") == expected


def _faults(browser: Browser) -> list[str]:
    if not browser.run("return Boolean(window.axe)"):
        browser.run(_axe())
    found: list[dict[str, Any]] = browser.driver.execute_async_script(_RUN, _RULES)
    return [
        f"{fault['id']} ({fault['impact']}): {node['html']} {node.get('failureSummary', '')}"
        for fault in found
        if fault["impact"] in _GRAVE
        for node in fault["nodes"] or [{"html": ""}]
    ]


@cache
def _axe() -> str:
    return (VENDOR / "axe.min.js").read_text(encoding="utf-8")
