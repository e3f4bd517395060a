"""A person hands a file in and takes its tags home."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.audit import audit
from tests.browser.browser import Browser
from tests.browser.looks import LOOKS, Look
from tests.browser.pages import JobPage, UploadPage
from tests.browser.tickets import LABELS, TICKETS, read_rows, write_tickets


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_a_file_of_an_old_windows_comes_back_with_its_tags(browser: Browser, look: Look, tmp_path: Path) -> None:
    browser.wear(look)
    source = write_tickets(tmp_path / f"工单 {look}.csv", encoding="gb18030")
    page = UploadPage(browser)
    page.open()
    audit(browser)

    page.hand_in(source, ",".join(LABELS), text_column="内容")

    job = JobPage(browser)
    job.wait_for_end()
    audit(browser)
    assert "gb18030" in job.encoding()
    rows = read_rows(job.download("CSV"))
    assert [(row["编号"], row["内容"]) for row in rows] == [(str(n), text) for n, (text, _) in enumerate(TICKETS, 1)]
    assert {row["yeban_status"] for row in rows} == {"ok"}
    right = [row["yeban_label"] == label for row, (_, label) in zip(rows, TICKETS, strict=True)]
    assert sum(right) >= len(TICKETS) - 1, "nobody doubts these tickets"
    browser.open("/jobs")
    assert source.name in browser.find("//main//table").text
    audit(browser)
