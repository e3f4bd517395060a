"""A Chromium without a window: Debian's, driven by Debian's chromedriver; neither asks anything of other hosts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
    WebDriverException,
)
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.browser.looks import Look, Screen
from tests.browser.paths import CHROMEDRIVER, CHROMIUM
from tests.fixtures.waiting import wait_until

_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1280,900",
)
_NO_SCRIPTS = 2
# For what never comes: a machine that is slow, or stands still for seconds, must fail no test.
_PATIENCE_S = 60.0
_SCRIPT_S = 110.0  # what Selenium waits for an answer of the driver is a little more
# What a page is while it is being replaced.
_MEANWHILE = (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
)
# The driver's words for the same where it has no name for it.
_REPLACED = ("does not belong to the document", "aborted by navigation", "document unloaded")

T = TypeVar("T")


class Browser:
    """One window on the site at ``url``. Not found is waited for, so nobody has to say how long a page takes."""

    def __init__(self, url: str, downloads: Path, *, scripts: bool = True) -> None:
        """Start the browser; with ``scripts=False`` it runs none, as where a person or a company forbids them."""
        options = webdriver.ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for flag in _FLAGS:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        preferences: dict[str, object] = {"download.default_directory": str(downloads)}
        if not scripts:
            preferences["profile.managed_default_content_settings.javascript"] = _NO_SCRIPTS
        options.add_experimental_option("prefs", preferences)
        # Both programs are named, or Selenium would look for them on the network.
        self.driver = webdriver.Chrome(options=options, service=Service(str(CHROMEDRIVER)))
        self.driver.set_script_timeout(_SCRIPT_S)
        self.url = url
        self.scripts = scripts
        self.look = Look()
        self._downloads = downloads

    def close(self) -> None:
        """End the browser."""
        self.driver.quit()

    def wear(self, look: Look) -> None:
        """Begin anew: nothing kept from before, and the page to be seen as ``look`` says."""
        self.driver.get("about:blank")
        self._tell("Network.clearBrowserCookies")
        self._tell("Storage.clearDataForOrigin", origin=self.url, storageTypes="all")
        self._tell("Emulation.setEmulatedMedia", features=[])
        self.look = look
        for name, value in (("language", look.language), ("theme", look.theme)):
            self._tell("Network.setCookie", name=name, value=value, url=self.url)
        self.resize(look.screen)
        self.said()
        self.asked_for()

    def resize(self, screen: Screen) -> None:
        """Have a screen of that size."""
        self._tell(
            "Emulation.setDeviceMetricsOverride",
            width=screen.width,
            height=screen.height,
            deviceScaleFactor=1,
            mobile=screen.mobile,
        )

    def touch(self, *, enabled: bool) -> None:
        """Have a finger in place of a mouse."""
        self._tell("Emulation.setTouchEmulationEnabled", enabled=enabled)

    def prefer(self, colours: str) -> None:
        """Be set to ``light`` or ``dark``, as a whole system is."""
        self._tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": colours}])

    def open(self, path: str) -> None:
        """Go to a page of the site, or to a whole address."""
        self.driver.get(path if path.startswith("http") else self.url + path)

    @property
    def path(self) -> str:
        """Where the window is, without the host."""
        return str(self.driver.current_url).removeprefix(self.url)

    def run(self, script: str, *arguments: object) -> Any:
        """What a function's body returns in the page."""
        return self.driver.execute_script(script, *arguments)

    def said(self) -> list[dict[str, Any]]:
        """What the console has been told since it was last asked: errors, and what the policy forbids."""
        return list(self.driver.get_log("browser"))

    def asked_for(self) -> list[str]:
        """The addresses that were asked for since last time."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]

    # Finding, by what a person goes by.

    def wait(self, condition: Callable[[], T], what: str, *, timeout_s: float = _PATIENCE_S) -> T:
        """The first true value of ``condition``, asked again while the page changes."""

        def now() -> T | None:
            try:
                return condition()
            except _MEANWHILE:
                return None
            except WebDriverException as error:
                if any(words in str(error.msg) for words in _REPLACED):
                    return None
                raise

        found = wait_until(now, timeout_s=timeout_s, what=f"{what} on {self.driver.current_url}")
        assert found is not None
        return found

    def find(self, xpath: str) -> WebElement:
        """The first shown element that ``xpath`` leads to."""
        return self.wait(lambda: self._shown(xpath), xpath)

    def text(self, xpath: str) -> str:
        """What the first shown element that ``xpath`` leads to says, once it says something."""
        return self.wait(lambda: (found := self._shown(xpath)) and found.text, xpath) or ""

    def all(self, xpath: str) -> list[WebElement]:
        """What ``xpath`` leads to just now, shown or not."""
        return list(self.driver.find_elements(By.XPATH, xpath))

    def has(self, xpath: str) -> bool:
        """Whether ``xpath`` leads to something shown just now."""
        return any(each.is_displayed() for each in self.all(xpath))

    def named(self, name: str) -> WebElement:
        """A form's field by the name it is sent under, which is the same in every language."""
        return self.find(f"//main//*[@name={_quoted(name)} and not(@type='hidden')]")

    def labelled(self, words: str) -> WebElement:
        """The field whose label is ``words`` in English: a script may have put another in its place."""
        label = f"//main//label[normalize-space()={_quoted(self.look.say(words))}]"
        return self.find(f"//main//*[@id={label}/@for]")

    def press(self, words: str) -> None:
        """Press the button, or follow the link, that is called ``words`` in English."""
        self.press_own_words(self.look.say(words))

    def press_own_words(self, words: str) -> None:
        """As :meth:`press`, where what it is called is the same in every language."""
        called = f"[normalize-space()={_quoted(words)} and not(@aria-hidden='true')]"
        xpath = f"//main//*[self::button or self::a or self::summary]{called}"

        def pressed() -> bool:
            found = self._shown(xpath)
            if found is not None:
                found.click()
            return found is not None

        self.wait(pressed, f"“{words}”")

    def follow(self, words: str) -> None:
        """As :meth:`press`, where another page comes: what is done next is done there."""
        with self.another_page():
            self.press(words)

    @contextmanager
    def another_page(self) -> Iterator[None]:
        """What is done within leads to another page, or to this one anew; leaves once that is whole."""
        before = self._page()

        def come() -> bool:
            return self._page() != before and self.run("return document.readyState") == "complete"

        yield
        self.wait(come, "another page")

    def region(self, heading: str) -> WebElement:
        """The part of a page whose heading or name is ``heading`` in English."""
        said = _quoted(self.look.say(heading))
        return self.find(f"//main//section[@aria-label={said} or @aria-labelledby=.//*[normalize-space()={said}]/@id]")

    # Doing.

    def fill(self, name: str, text: str) -> None:
        """Type into the field sent as ``name``, in place of what it had."""

        def filled() -> bool:
            field = self.named(name)
            field.clear()
            field.send_keys(text)
            return True

        self.wait(filled, name)

    def choose(self, name: str, file: Path) -> None:
        """Choose a file for the field sent as ``name``; such a field may be hidden under something nicer."""
        self.wait(lambda: self.all(f"//main//input[@type='file' and @name={_quoted(name)}]"), name)[0].send_keys(
            str(file)
        )

    def type_keys(self, *keys: str) -> None:
        """Type without saying where: into what has the focus."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def press_with_ctrl(self, key: str) -> None:
        """Press a key while Ctrl is down."""
        ActionChains(self.driver).key_down(Keys.CONTROL).send_keys(key).key_up(Keys.CONTROL).perform()

    def tab(self, *, back: bool = False) -> WebElement:
        """Press Tab, and return what has the focus then."""
        if back:
            ActionChains(self.driver).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()
        else:
            self.type_keys(Keys.TAB)
        return self.driver.switch_to.active_element

    @contextmanager
    def downloading(self) -> Iterator[Callable[[], Path]]:
        """Within, the files that come; what it yields waits for the whole of the one."""
        before = set(self._downloads.iterdir())

        def come() -> Path | None:
            new = [path for path in self._downloads.iterdir() if path not in before]
            # Until it is whole, it is beside its name, hidden or with another ending, and its name may be empty.
            whole = len(new) == 1 and new[0].suffix != ".crdownload" and not new[0].name.startswith(".")
            return new[0] if whole and new[0].stat().st_size else None

        def come_whole() -> Path:
            return wait_until(come, timeout_s=_PATIENCE_S, what="a download") or Path()

        yield come_whole

    def _page(self) -> float:
        """What tells this page from every other: when it began."""
        return float(self.run("return performance.timeOrigin"))

    def _shown(self, xpath: str) -> WebElement | None:
        return next((each for each in self.all(xpath) if each.is_displayed()), None)

    def _tell(self, command: str, **parameters: object) -> None:
        self.driver.execute_cdp_cmd(command, parameters)


def _quoted(text: str) -> str:
    """A string of XPath, which knows no escapes."""
    if "'" not in text:
        return f"'{text}'"
    return "concat(" + ', "\'", '.join(f"'{part}'" for part in text.split("'")) + ")"
