"""A person hands a file in and takes its tags home."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver.support.select import Select

from tests.browser.audit import audit
from tests.browser.browser import Browser
from tests.browser.looks import LOOKS, Look
from tests.browser.pages import DraftPage, JobPage, UploadPage
from tests.browser.tickets import LABELS, TICKETS, read_rows, write_tickets


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_a_file_of_an_old_windows_comes_back_with_its_tags(browser: Browser, look: Look, tmp_path: Path) -> None:
    browser.wear(look)
    source = write_tickets(tmp_path / f"工单 {LOOKS.index(look)}.csv", encoding="gb18030")
    upload, draft, job = UploadPage(browser), DraftPage(browser), JobPage(browser)
    upload.open()
    audit(browser)

    upload.hand_in(source)
    assert "GB18030" in draft.chosen("encoding")
    assert "内容" in draft.chosen("text_column")
    assert TICKETS[0][0] in draft.first_rows()
    assert str(len(TICKETS)) in draft.counts()
    audit(browser)
    draft.enter_labels(",".join(LABELS))
    tried = draft.try_first_rows()
    assert len(tried) == len(TICKETS)
    assert TICKETS[0][1] in tried[0]
    audit(browser)
    draft.start()
    job.wait_for_end()

    audit(browser)
    assert "gb18030" in job.details().lower()
    rows = read_rows(job.download("CSV"))
    assert [(row["编号"], row["内容"]) for row in rows] == [(str(n), text) for n, (text, _) in enumerate(TICKETS, 1)]
    assert {row["yeban_status"] for row in rows} == {"ok"}
    right = [row["yeban_label"] == label for row, (_, label) in zip(rows, TICKETS, strict=True)]
    assert sum(right) >= len(TICKETS) - 1, "nobody doubts these tickets"
    browser.open("/jobs")
    assert source.name in browser.text("//main//table")
    audit(browser)


def test_a_file_is_tagged_without_scripts(browser_without_scripts: Browser, tmp_path: Path) -> None:
    browser = browser_without_scripts
    browser.wear(Look(language="zh"))
    upload, draft, job = UploadPage(browser), DraftPage(browser), JobPage(browser)
    upload.open()

    upload.hand_in(write_tickets(tmp_path / "工单.csv"))
    draft.enter_labels("、".join(LABELS))
    assert len(draft.try_first_rows()) == len(TICKETS)
    draft.start()

    job.wait_for_end()
    assert len(read_rows(job.download("CSV"))) == len(TICKETS)
    assert browser.said() == []


def test_the_right_labels_of_a_file_become_its_labels(browser: Browser, tmp_path: Path) -> None:
    browser.wear(Look())
    upload, draft = UploadPage(browser), DraftPage(browser)
    upload.open()
    upload.hand_in(write_tickets(tmp_path / "right.csv", gold=True))
    Select(browser.named("gold_column")).select_by_index(3)

    browser.press("Use these as labels")

    browser.wait(lambda: set(draft.labels()) == set(LABELS), "the labels as chips")
    focused = "return document.activeElement === document.querySelector('.chips input')"
    browser.wait(lambda: browser.run(focused), "the focus where one more can follow")
    browser.type_keys("投诉、")
    browser.wait(lambda: set(draft.labels()) == {*LABELS, "投诉"}, "one more")
    assert len(draft.try_first_rows()) == len(TICKETS)
