"""The pages as a person uses them: what can be done on each, and what can be read there."""

from __future__ import annotations

import re
from pathlib import Path

from selenium.webdriver.remote.webelement import WebElement
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
        self._browser.press("Classify")

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

    def hand_in(self, file: Path) -> None:
        """Choose the file, which is sent at once where scripts run, and wait for its page."""
        self._browser.choose("file", file)
        if not self._browser.scripts:
            self._browser.press("Upload")
        self._browser.wait(lambda: self._browser.path.startswith("/upload/"), "the page of the file")


class DraftPage:
    """A file that is looked at before its rows are tagged."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def chosen(self, field: str) -> str:
        """What the choice sent as ``field`` says."""
        return Select(self._browser.named(field)).first_selected_option.text

    def first_rows(self) -> str:
        """The table of the first rows, as text."""
        return self._browser.text("//main//*[@id='reading']//table")

    def counts(self) -> str:
        """The counts over the whole file, which come after the page."""
        return self._browser.text("//main//*[@id='counts']//dl")

    def enter_labels(self, labels: str) -> None:
        enter_labels(self._browser, labels)

    def labels(self) -> list[str]:
        """The chips that are there."""
        return [chip.text for chip in self._browser.all("//main//*[@class='chips']//li/bdi")]

    def try_first_rows(self) -> list[str]:
        """Have the first rows tagged, and return what is shown for each."""
        self._browser.find("//main//button[contains(@formaction, '/try')]").click()
        rows = "//main//*[@id='tried']//tbody/tr"
        return self._browser.wait(lambda: [row.text for row in self._browser.all(rows)], "the first rows")

    def begin_at(self, moment: str) -> None:
        """Choose when, as ``2026-11-26T02:30``."""
        # Typed, it would be written as the browser's own language has it.
        self._browser.run(
            "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))",
            self._browser.named("start_at"),
            moment,
        )

    def start(self) -> None:
        self._browser.press("Tag all rows")
        self._browser.wait(lambda: self._browser.path.startswith("/jobs/"), "the page of the job")


class JobPage:
    """One job, as it runs and after."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def open(self, job_id: str) -> None:
        self._browser.open(f"/jobs/{job_id}")

    def wait_for_end(self) -> None:
        """Wait until the page shows, by itself, that all is done."""
        self._browser.wait(
            lambda: self._browser.has("//main//*[contains(concat(' ', @class, ' '), ' completed ')]"),
            "a completed job",
            timeout_s=180,
        )
        # What was found comes after the bar.
        self._browser.find("//main//*[@id='h-refinement']")

    def details(self) -> str:
        """What the page says of the file and the model."""
        return self._browser.region("Details").text

    def download(self, kind: str) -> Path:
        """Follow the link of that name, and return the file once it is there."""
        with self._browser.downloading() as come:
            self._browser.press(kind)
            return come()

    def review(self) -> None:
        self._browser.follow("Start reviewing")


class ReviewPage:
    """Rows worth a person's look."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def open(self, job_id: str) -> None:
        self._browser.open(f"/jobs/{job_id}/review")

    def rows(self) -> list[int]:
        """The numbers of the rows that are shown, as the file has them in order."""
        self._browser.find("//main//fieldset[@data-row]")
        return [int(each.get_attribute("data-row") or 0) for each in self._browser.all("//main//fieldset[@data-row]")]

    def current(self) -> int:
        """The number of the row that has the focus, or 0."""
        return int(self._browser.run("return document.activeElement.closest('[data-row]')?.dataset.row || 0"))

    def sign(self, name: str) -> None:
        """Say who corrects."""
        self._browser.fill("author", name)

    def say_that(self, row: int, label: str) -> None:
        """Choose the right label of a row."""
        name = f"self::label[.//*[normalize-space()='{label}']]"
        self._browser.find(f"//main//fieldset[@data-row='{row}']//*[{name}]").click()

    def key_of(self, row: int, label: str) -> str:
        """The key that chooses a label of a row."""
        at = f"//main//fieldset[@data-row='{row}']//label[.//*[normalize-space()='{label}']]//kbd"
        return self._browser.find(at).text

    def labels(self, row: int) -> list[str]:
        """The labels that a row shows beside one another."""
        at = f"//main//fieldset[@data-row='{row}']//label[input[@data-key!='0' and @data-key!='s']]"
        return [each.text for each in self._browser.all(f"{at}//*[@class='name']")]

    def said(self) -> str:
        """What was said last to those who listen."""
        return str(self._browser.run("return document.getElementById('said').textContent"))

    def told_keys(self) -> dict[str, str]:
        """The key of each label, as the help has them."""
        at = "//main//*[@id='keys']//dl[contains(@class, 'labels')]/div"
        names = [each.text for each in self._browser.all(f"{at}/dd")]
        return dict(zip(names, (each.text for each in self._browser.all(f"{at}/dt")), strict=True))

    def save(self) -> None:
        self._browser.follow("Save and show the next")

    def corrected(self) -> list[str]:
        """The rows corrected last, as the table says."""
        return [row.text for row in self._browser.all("//main//*[@id='corrected']//tbody/tr")]


class AccuracyPage:
    """How right a job is, where the file says what is right."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def open(self, job_id: str) -> None:
        self._browser.open(f"/jobs/{job_id}/accuracy")

    def accuracy(self) -> float:
        """The share of rows that are right."""
        said = self._browser.text("//main//section[@aria-labelledby='h-whole']//dd")
        return float(said.removesuffix("%")) / 100

    def open_confusion(self, right: str, tagged: str) -> None:
        """Follow the number of the rows that ought to be ``right`` and are ``tagged``."""
        columns = self._browser.all("//main//table[@aria-labelledby='h-confusions']//thead//th")
        number = [column.text for column in columns].index(tagged) + 1
        self._browser.find(f"//main//table//tr[th[normalize-space()='{right}']]/td[{number}]/a").click()
        self._browser.wait(lambda: "/accuracy/" in self._browser.path, "the rows")

    def rows(self) -> str:
        """The rows with their texts."""
        return self._browser.text("//main//table[caption]")


class LabelSetForm:
    """Where a label set is made and changed."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def enter(self, name: str, labels: list[str], descriptions: dict[str, str]) -> None:
        """Name the set and its labels."""
        self._browser.fill("name", name)
        for number, label in enumerate(labels):
            if number == len(self._fields("label")):
                self._browser.press("Add a label")
            self._fields("label")[number].send_keys(label)
            self._fields("description")[number].send_keys(descriptions.get(label, ""))

    def add(self, label: str) -> None:
        """One more."""
        before = len(self._fields("label"))
        self._browser.press("Add a label")
        self._browser.wait(lambda: len(self._fields("label")) == before + 1, "another row")
        self._fields("label")[-1].send_keys(label)

    def save(self, words: str) -> None:
        self._browser.follow(words)
        assert not self._browser.path.endswith(("/new", "/edit")), "the page of the set"

    def _fields(self, name: str) -> list[WebElement]:
        return self._browser.all(f"//main//*[@id='rows']//*[@name='{name}']")


class SignInPage:
    """Name and password."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def sign_in(self, name: str, password: str) -> None:
        # Other pages have fields of these names, too.
        self._browser.wait(lambda: self._browser.path.startswith("/sign-in"), "the page to sign in")
        self._browser.fill("name", name)
        self._browser.fill("password", password)
        self._browser.follow("Sign in")


class AccountPage:
    """One's own account."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def open(self) -> None:
        self._browser.open("/account")

    def make_token(self, name: str) -> str:
        """Make one and return it, as it is shown this once."""
        self._browser.fill("name", name)
        self._browser.press("Create a token")
        return self._browser.text("//main//*[@id='secret']")
