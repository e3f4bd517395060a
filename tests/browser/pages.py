"""The pages as a person uses them: what can be done on each, and what can be read there."""

from __future__ import annotations

import re
from pathlib import Path

from selenium.webdriver.support.select import Select

from tests.browser.browser import Browser


def enter_labels(browser: Browser, labels: str) -> None:
    """Type labels into whichever field takes them: chips, or without scripts a plain one."""
    browser.labelled("Labels").send_keys(labels)


class ClassifyPage:
    """One text, tagged at once."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def open(self) -> None:
        self._browser.open("/")

    def enter(self, text: str, labels: str) -> None:
        """Enter both, without sending them."""
        self._browser.fill("text", text)
        enter_labels(self._browser, labels)

    def tag(self, text: str, labels: str) -> None:
        """Enter both and send them."""
        self.enter(text, labels)
        self._browser.press("Tag it")

    def scores(self) -> dict[str, float]:
        """Each label with its share, best first, as the table says."""

        def read() -> dict[str, float]:
            rows = [row.text for row in self._browser.all("//main//*[@id='result']//table//tbody/tr")]
            cells = [re.fullmatch(r"(.+?)\s+([\d.]+)\s*%", row, re.DOTALL) for row in rows]
            return {cell[1]: float(cell[2]) / 100 for cell in cells if cell}

        return self._browser.wait(read, "scores")

    def bars(self) -> list[float]:
        """How much of its track each label's bar fills, best first."""
        drawn = self._browser.run(
            "return [...document.querySelectorAll('#result tbody svg')].map(svg => ["
            "svg.querySelector('.fill').getBoundingClientRect().width,"
            "svg.querySelector('.track').getBoundingClientRect().width])"
        )
        return [fill / track for fill, track in drawn]


class UploadPage:
    """A file is handed in."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def open(self) -> None:
        self._browser.open("/upload")

    def hand_in(self, file: Path, labels: str, *, text_column: str) -> None:
        """Choose the file, name its column, and start."""
        self._browser.choose("file", file)
        enter_labels(self._browser, labels)
        self._browser.fill("text_column", text_column)
        self._browser.press("Upload and tag")


class JobPage:
    """One job, as it runs and after."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def open(self, job_id: str) -> None:
        self._browser.open(f"/jobs/{job_id}")

    def wait_for_end(self) -> None:
        """Wait until the page shows, by itself, that all is done."""
        self._browser.find("//main//*[contains(concat(' ', @class, ' '), ' completed ')]")

    def encoding(self) -> str:
        """What the page says of the file's encoding."""
        return self._browser.region("Details").text

    def download(self, kind: str) -> Path:
        """Follow the link of that name, and return the file once it is there."""
        with self._browser.downloading() as come:
            self._browser.press(kind)
            return come()

    def review(self) -> None:
        self._browser.press("Review rows worth correcting")


class ReviewPage:
    """Rows worth a person's look."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def rows(self) -> list[int]:
        """The numbers of the rows that are shown, as the file has them in order."""
        self._browser.find("//main//input[@name='shown']/..")
        return [int(each.get_attribute("value") or 0) for each in self._browser.all("//main//input[@name='shown']")]

    def say_that(self, row: int, label: str) -> None:
        """Choose the right label of a row."""
        Select(self._browser.named(f"row-{row}")).select_by_visible_text(label)

    def save(self) -> None:
        self._browser.press("Save")
