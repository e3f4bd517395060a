"""Sessions begin with signing in, and end when they should."""

from __future__ import annotations

import pytest

from tests.fixtures.accounts import PASSWORD, sign_in
from tests.fixtures.browser_client import token_of
from tests.fixtures.page_checker import form_fields
from yeban.accounts import people, tokens
from yeban.accounts.people import Role


def test_signing_in_redirects_to_the_requested_page(accounts, person):
    _, client = person("wang", signed_in=False)
    response = client.get("/jobs?state=running")
    assert response.headers["Location"] == "/sign-in?then=/jobs?state%3Drunning"
    assert sign_in(client, "wang", then="/jobs?state=running").headers["Location"] == "/jobs?state=running"
    assert client.get("/jobs").status_code == 200
    assert client.get("/sign-in?then=/jobs").headers["Location"] == "/jobs"


@pytest.mark.parametrize("then", ["//evil.example", "/\\evil.example", "https://evil.example/", "jobs", "/\n/evil", ""])
def test_signing_in_never_redirects_to_another_site(accounts, person, then):
    _, client = person("wang", signed_in=False)
    assert sign_in(client, "wang", then=then).headers["Location"] == "/"


def test_the_cookie_is_hidden_from_scripts_and_other_sites(accounts, person):
    _, client = person("wang", signed_in=False)
    cookie = sign_in(client, "wang").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie


def test_the_cookie_is_secure_behind_an_https_proxy(make_app, database):
    people.create_account(database, "wang", PASSWORD, role=people.Role.MEMBER)
    client = make_app(accounts=True, proxies=1).test_client()
    headers = {"X-Forwarded-Proto": "https"}
    token = token_of(client.get("/sign-in", headers=headers).text)
    assert token
    response = client.get("/sign-in", headers=headers)
    assert all("Secure" in cookie for cookie in response.headers.getlist("Set-Cookie"))


def test_the_password_form_can_be_submitted(accounts, person):
    _, client = person("wang")
    sent = form_fields(client.get("/account").text, "change-password")
    assert {"username", "present", "password", "again"} <= sent.keys()
    sent |= {"present": PASSWORD, "password": "quite another one", "again": "quite another one"}
    assert client.post("/account/password", data=sent).status_code == 303


def test_changing_the_password_can_revoke_tokens(accounts, person, database):
    account, client = person("wang")
    _, secret = tokens.create_token(database, account, "export")
    new = {"present": PASSWORD, "password": "quite another one", "again": "quite another one"}
    client.post("/account/password", data=new)
    assert tokens.account_of(database, secret)
    again = {"present": new["password"], "password": "and one more of it", "again": "and one more of it"}
    client.post("/account/password", data={**again, "revoke_tokens": "on"})
    assert tokens.account_of(database, secret) is None


def test_a_copied_cookie_is_invalid_after_signing_out(accounts, person):
    _, client = person("wang")
    kept = client.get_cookie("yeban_session").value
    client.post("/sign-out")
    client.set_cookie("yeban_session", kept)
    assert client.get("/jobs").status_code == 303


def test_disabling_and_enabling_an_account_ends_its_sessions(accounts, person, database):
    account, client = person("wang")
    person("boss", role=Role.ADMIN, signed_in=False)
    for disabled in (True, False):
        people.change_account(database, account, role=account.role, team="", disabled=disabled)
    assert client.get("/jobs").status_code == 303


def test_static_files_and_probes_do_not_renew_the_session(accounts, person):
    _, client = person("wang")
    with client.get("/static/css/base.css") as response:
        assert "Set-Cookie" not in response.headers
    assert "Set-Cookie" not in client.get("/healthz").headers


def test_signing_out_ends_the_session(accounts, person):
    _, client = person("wang")
    assert client.post("/sign-out").headers["Location"] == "/sign-in"
    assert client.get("/jobs").status_code == 303


def test_changing_the_password_ends_all_other_sessions(accounts, person):
    _, client = person("wang")
    other = accounts.test_client()
    sign_in(other, "wang")
    new = {"password": "quite another one", "again": "quite another one"}

    def change(**form):
        return client.post("/account/password", data=form).status_code

    assert change(present="wrong", **new) == 401
    assert change(present=PASSWORD, password="a", again="a") == 422
    assert change(present=PASSWORD, password="quite another one", again="x") == 422
    assert other.get("/jobs").status_code == 200
    assert change(present=PASSWORD, **new) == 303
    assert client.get("/jobs").status_code == 200
    assert other.get("/jobs").status_code == 303


def test_signing_out_everywhere_ends_every_session(accounts, person):
    _, client = person("wang")
    other = accounts.test_client()
    sign_in(other, "wang")
    client.post("/account/sessions/end")
    assert [each.get("/jobs").status_code for each in (client, other)] == [303, 303]


def test_disabling_an_account_ends_its_sessions_and_tokens(accounts, person, database):
    account, client = person("wang")
    _, secret = tokens.create_token(database, account, "export")
    person("boss", role=Role.ADMIN, signed_in=False)
    people.change_account(database, account, role=account.role, team="", disabled=True)
    assert client.get("/jobs").status_code == 303
    assert client.get("/api/v1/jobs", headers={"Authorization": f"Bearer {secret}"}).status_code == 401
