"""People sign in, see to one another's accounts, and give programs tokens."""

from __future__ import annotations

import httpx
import pytest

from tests.browser.audit import audit
from tests.browser.browser import Browser
from tests.browser.conftest import ADMIN_PASSWORD
from tests.browser.looks import TWO_LOOKS, Look
from tests.browser.pages import AccountPage, SignInPage
from tests.browser.site import HTTP_S

PASSWORD = "ten letters or more"


@pytest.mark.parametrize("look", TWO_LOOKS, ids=str)
def test_a_person_is_let_in_and_gives_a_program_a_token(browser_with_accounts: Browser, look: Look) -> None:
    browser = browser_with_accounts
    browser.wear(look)
    name = f"小王{TWO_LOOKS.index(look)}"
    page, account = SignInPage(browser), AccountPage(browser)
    browser.open("/jobs")
    assert browser.path.startswith("/sign-in"), "nobody is signed in"
    audit(browser)
    page.sign_in("admin", "not the password")
    browser.find("//main//*[@role='alert']")
    audit(browser, "admin", status=401)
    assert browser.driver.switch_to.active_element.get_attribute("id") == "password"
    page.sign_in("admin", ADMIN_PASSWORD)
    assert browser.path == "/jobs", "where it was meant to go"

    browser.open("/accounts")
    audit(browser, "admin")
    browser.fill("name", name)
    browser.fill("team", "售后")
    browser.fill("password", PASSWORD)
    browser.follow("Add")
    with browser.another_page():
        browser.press_own_words(name)
    audit(browser, "admin")
    account.open()
    browser.follow("Sign out")
    page.sign_in(name, PASSWORD)
    assert not browser.path.startswith("/sign-in")
    account.open()
    token = account.make_token("每晚导出")
    audit(browser)

    asked = f"{browser.url}/api/v1/jobs"
    assert httpx.get(asked, timeout=HTTP_S).status_code == 401
    theirs = httpx.get(asked, headers={"Authorization": f"Bearer {token}"}, timeout=HTTP_S)
    assert theirs.json()["jobs"] == []
    account.open()
    assert token not in browser.find("//main").text, "it is shown once"
    audit(browser)
    browser.open("/accounts")
    assert not browser.has("//main//table"), "for admins only"
    browser.open("/account")
    browser.follow("Sign out")
    assert browser.path.startswith("/sign-in")
