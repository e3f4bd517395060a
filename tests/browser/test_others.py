"""Pages that no other journey comes through."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.browser.audit import audit
from tests.browser.browser import Browser
from tests.browser.looks import TWO_LOOKS, Look
from tests.browser.pages import DraftPage, JobPage, UploadPage
from tests.browser.site import HTTP_S, Site
from tests.browser.tickets import LABELS, write_tickets

HOOK = "https://hooks.example.com/yeban"
_API_WORDS = ["get", "put", "delete", "application", "multipart", "form", "data", "auto", "en", "false"]


@pytest.mark.parametrize("look", TWO_LOOKS, ids=str)
def test_a_webhook_tells_its_secret_once(browser: Browser, look: Look) -> None:
    browser.wear(look)
    browser.open("/webhooks")
    audit(browser)

    browser.fill("url", HOOK)
    browser.press("Add")

    secret = browser.text("//main//*[@id='secret']")
    assert secret.startswith("whsec_")
    audit(browser, *_letters(HOOK))
    browser.open("/webhooks")
    audit(browser, *_letters(HOOK))
    with browser.another_page():
        browser.press_own_words(HOOK)
    browser.find("//main//dl")
    assert secret not in browser.text("//main")
    browser.run("window.confirm = () => true")
    browser.follow("New secret")
    assert browser.text("//main//*[@id='secret']") != secret
    audit(browser, *_letters(HOOK))
    browser.run("window.confirm = () => true")
    browser.follow("Retire the old secret")
    assert not browser.has("//main//*[@id='secret']")
    browser.run("window.confirm = () => true")
    browser.follow("Delete")
    assert browser.path == "/webhooks"


@pytest.mark.parametrize("look", TWO_LOOKS, ids=str)
def test_a_job_waits_for_its_time(browser: Browser, look: Look, tmp_path: Path) -> None:
    browser.wear(look)
    upload, draft, job = UploadPage(browser), DraftPage(browser), JobPage(browser)
    upload.open()
    upload.hand_in(write_tickets(tmp_path / "今夜.csv"))
    draft.enter_labels(",".join(LABELS))
    draft.begin_at("2199-01-01T02:30")
    draft.start()

    browser.find("//main//*[contains(concat(' ', @class, ' '), ' scheduled ')]")
    audit(browser)
    browser.run("window.confirm = () => true")
    browser.press("Cancel")
    browser.find("//main//*[contains(concat(' ', @class, ' '), ' cancelled ')]")
    job.details()
    audit(browser)


@pytest.mark.parametrize("look", TWO_LOOKS, ids=str)
@pytest.mark.parametrize(("path", "status"), [("/account", 200), ("/nothing", 404)])
def test_a_page_is_sound(browser: Browser, look: Look, path: str, status: int) -> None:
    browser.wear(look)
    browser.open(path)
    browser.find("//main")
    audit(browser, status=status)


@pytest.mark.parametrize("look", TWO_LOOKS, ids=str)
def test_the_page_of_the_api_is_sound(browser: Browser, site: Site, look: Look) -> None:
    described = httpx.get(f"{site.url}/api/v1/openapi.json", timeout=HTTP_S).json()
    browser.wear(look)
    browser.open("/docs/api")
    browser.find("//main//h1")
    audit(browser, *described["components"]["schemas"], *_API_WORDS)


def _letters(url: str) -> list[str]:
    return url.replace(":", " ").replace("/", " ").replace(".", " ").split()
