"""A person looks at what was taken for what."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.audit import audit
from tests.browser.browser import Browser
from tests.browser.looks import TWO_LOOKS, Look
from tests.browser.pages import AccuracyPage
from tests.browser.site import Site
from tests.browser.tickets import LABELS, ODD_LABEL, ODD_ROW, TICKETS, write_tickets


@pytest.fixture(scope="module")
def judged(site: Site, tmp_path_factory: pytest.TempPathFactory) -> str:
    file: Path = write_tickets(tmp_path_factory.mktemp("file") / "工单.csv", gold=True)
    return site.ended_job(file, LABELS, text_column="内容", gold_column="类别")


@pytest.mark.parametrize("look", TWO_LOOKS, ids=str)
def test_a_confusion_leads_to_its_rows(browser: Browser, look: Look, judged: str) -> None:
    browser.wear(look)
    page = AccuracyPage(browser)
    page.open(judged)
    audit(browser)
    text, tagged = TICKETS[ODD_ROW]
    assert page.accuracy() > (len(TICKETS) - 3) / len(TICKETS)

    page.open_confusion(ODD_LABEL, tagged)

    assert text in page.rows()
    audit(browser)
    browser.follow("Back to accuracy")
    page.accuracy()
