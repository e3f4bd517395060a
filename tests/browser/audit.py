"""What must hold for every page in every state: all can use it, it fits, and it wants nothing from elsewhere."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from tests.browser.browser import Browser
from tests.browser.paths import VENDOR

#: The rules of WCAG 2.2 at AA that a program can check, and what else is known to help.
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_GRAVE = {"serious", "critical"}
#: Addresses that are not asked of any host. The browser draws its own controls with ``data:``.
_NOWHERE = ("about:", "blob:", "data:")
#: What stands in Latin letters on a Chinese page: names, kinds of files, encodings, units.
_NAMES = frozenset(
    """
    yeban api webhook webhooks standard openapi json post python curl structbert openvino onnxruntime
    csv tsv xlsx excel jsonl utf le be gb gbk big shift jis euc kr windows mib kib ms xx utc
    https yeban_webhook_private_addresses true example com hooks
    """.split()  # noqa: SIM905  # read more easily than so many strings
)
_MODEL = re.compile("e5-small|int8|bf16")
_CUT_SHORT = "htmx:sendAbort"
_NO_PROSE = "code, pre, kbd, script, noscript, style, [lang]:not(html)"
_SAID = """
const found = [document.title];
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) if (!texts.currentNode.parentElement.closest(arguments[0])) found.push(texts.currentNode.data);
for (const element of document.querySelectorAll("body *")) {
  if (element.closest(arguments[0])) continue;
  for (const name of ["aria-label", "alt", "placeholder", "title"]) found.push(element.getAttribute(name) || "");
}
return found.map(each => each.trim()).filter(each => /[A-Za-z]{2}/.test(each));
"""
_RUN = """
const done = arguments[arguments.length - 1];
axe.run(document, {runOnly: arguments[0], resultTypes: ["violations"]})
  .then(found => done(found.violations), error => done([{id: String(error), impact: "critical", nodes: []}]));
"""


def audit(browser: Browser, *names: str, status: int = 200) -> None:
    """Fail where the page, as it is now, falls short; says how.

    ``names`` may stand on a Chinese page as they are. The console tells of a page with another ``status`` than 200.
    """
    assert _faults(browser) == [], f"{browser.path} as {browser.look}"
    # What is only for information, such as that a key was faster than the focus, is no fault.
    faults = [entry for entry in _but_cut_short(browser.said()) if entry["level"] != "INFO"]
    said = [entry for entry in faults if status == 200 or f"status of {status}" not in entry["message"]]
    assert said == [], f"the console of {browser.path}"
    # Within an air gap nothing else answers, so a page that asks for it is slow or broken there.
    assert [url for url in browser.asked_for() if not url.startswith((browser.url, *_NOWHERE))] == []
    too_wide_px = browser.run("return document.documentElement.scrollWidth - window.innerWidth")
    assert too_wide_px <= 0, f"{browser.path} is {too_wide_px} px wider than the {browser.look.screen.name}"
    expected = {"en": "en", "zh": "zh-CN"}[browser.look.language]
    assert browser.run("return document.documentElement.lang") == expected
    if browser.look.language == "zh":
        assert _english(browser, _NAMES.union(name.lower() for name in names)) == [], browser.path


def _but_cut_short(said: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what htmx says of a request that was in flight when a person left the page: its end, and why.

    One that failed says why in other words, and is found by these.
    """
    cut = [entry["message"] for entry in said if _CUT_SHORT in entry["message"]]
    excused = {*cut, *(message.replace(_CUT_SHORT, "htmx:afterRequest") for message in cut)}
    return [entry for entry in said if entry["message"] not in excused]


def _english(browser: Browser, names: frozenset[str]) -> list[str]:
    """What a Chinese page says in English."""
    said: list[str] = browser.run(_SAID, _NO_PROSE)
    return [text for text in said if set(re.findall("[a-z_]{2,}", _MODEL.sub("", text.lower()))) - names]


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
