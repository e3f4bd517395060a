"""What a page was asked to do, and did, is said on the one that comes next, and only there."""

from __future__ import annotations

import html
import re

import pytest

from tests.fixtures.browser_client import token_of
from yeban.accounts import people
from yeban.accounts.people import Role
from yeban.database.engine import Database

PASSWORD = "correct horse battery"
CHINESE = {"Accept-Language": "zh-CN"}


def _told(client, response) -> str | None:
    """What the page says that ``response`` leads to; it says so once."""
    assert response.status_code == 303, response.text
    path = response.headers["Location"]
    found = re.search(r'class="told"[^>]*>([^<]*)<', client.get(path).text)
    assert 'class="told"' not in client.get(path).text
    return found and html.unescape(found[1])


def test_a_deleted_job_is_named(client, job_id, tag):
    tag(job_id)
    assert _told(client, client.post(f"/jobs/{job_id}/delete")) == "The job “tickets.csv” has been deleted."


def test_a_label_set_is_saved_and_deleted(client):
    made = client.post("/label-sets/new", data={"name": "售后", "label": ["物流", "退款"]}, headers=CHINESE)
    path = made.headers["Location"]
    assert _told(client, made) == "已保存为第 1 版。"
    form = {"name": "售后", "label": ["物流", "发票"], "version": "1"}
    assert _told(client, client.post(f"{path}/edit", data=form)) == "Saved as version 2."
    restored = client.post(f"{path}/restore", data={"version": "1", "base": "2"})
    assert _told(client, restored) == "Saved as version 3."
    assert _told(client, client.post(f"{path}/delete")) == "The label set “售后” has been deleted."


def test_what_was_done_with_a_webhook_is_said(client):
    client.post("/webhooks", data={"url": "https://example.com/hook"})
    (path,) = set(re.findall(r"/webhooks/[0-9a-f-]{36}", client.get("/webhooks").text))
    client.post(f"{path}/rotate")
    assert _told(client, client.post(f"{path}/end-former")) == "Messages are now signed with the new secret only."
    assert _told(client, client.post(f"{path}/delete", headers=CHINESE)) == "已删除该 Webhook。"


@pytest.fixture
def admin(make_app, database_url):
    app = make_app(accounts=True)
    database = Database(database_url, pool_size=1)
    people.create_account(database, "boss", PASSWORD, role=Role.ADMIN)
    database.close()
    client = app.test_client()
    headers = {"X-CSRF-Token": token_of(client.get("/sign-in").text)}
    client.post("/sign-in", data={"name": "boss", "password": PASSWORD}, headers=headers)
    return client


def _post(client, path, **data):
    return client.post(path, data=data, headers={"X-CSRF-Token": token_of(client.get("/account").text)})


def test_an_admin_is_told_what_became_of_an_account(admin):
    added = _post(admin, "/accounts", name="小李", password=PASSWORD, role="member")
    assert _told(admin, added) == "The account 小李 has been added."
    changed = _post(admin, "/accounts/小李", team="售后", role="member")
    assert _told(admin, changed) == "Your changes to 小李 have been saved."
    reset = _post(admin, "/accounts/小李/password", password="quite another one")
    assert _told(admin, reset) == "The password of 小李 has been reset. All their sessions have ended."


def test_a_person_is_told_of_the_password_and_of_signing_out(admin):
    again = "quite another one"
    changed = _post(admin, "/account/password", present=PASSWORD, password=again, again=again)
    assert _told(admin, changed) == "Your password has been changed. Other devices are signed out."
    _post(admin, "/account/tokens", name="nightly", days="30")
    number = re.search(r"/account/tokens/(\d+)/revoke", admin.get("/account").text)[1]
    assert _told(admin, _post(admin, f"/account/tokens/{number}/revoke")) == "The token has been revoked."
    assert _told(admin, _post(admin, "/sign-out")) == "You are signed out."
