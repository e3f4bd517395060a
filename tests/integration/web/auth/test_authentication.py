"""Sessions, API tokens and CSRF tokens identify the account of a request."""

from __future__ import annotations

import re
import uuid
from urllib.parse import parse_qs

import pytest

from tests.fixtures.accounts import PASSWORD, sign_in, submit_job
from tests.fixtures.browser_client import token_of
from tests.fixtures.scraping import Counting


def test_sign_ins_are_counted_and_logged_without_names_that_failed(person, caplog):
    counted = Counting()
    account, client = person("anna", signed_in=False)
    with caplog.at_level("INFO"):
        for name, password in (("my-password", "x"), ("anna", "wrong one"), ("anna", PASSWORD)):
            sign_in(client, name, password)
        client.post("/sign-out")
        for _ in range(6):
            sign_in(client, "anna", "wrong one")
        client.get("/api/v1/jobs", headers={"Authorization": "Bearer yeban_no"})
    outcomes = {one: counted("yeban_sign_ins_total", outcome=one) for one in ("signed_in", "refused", "held_up")}
    assert outcomes == {"signed_in": 1, "refused": 7, "held_up": 1}
    assert counted("yeban_wrong_tokens_total") == 1
    told = [record for record in caplog.records if hasattr(record, "address")]
    assert [record.getMessage() for record in told] == [
        *["sign-in refused"] * 2, "signed in", *["sign-in refused"] * 5, "sign-in held up", "wrong token",
    ]  # fmt: skip
    assert {record.address for record in told} == {"127.0.0.1"}
    assert [record.account for record in told if hasattr(record, "account")] == [account.id]
    shown = "".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert "my-password" not in shown
    assert PASSWORD not in shown
    assert "wrong one" not in shown


def test_a_token_of_the_page_works_and_is_shown_once(accounts, person):
    _, client = person("wang")
    page = client.post("/account/tokens", data={"name": "nightly", "days": "30"})
    secret = re.search(r"yeban_[a-z2-7]{10}_[\w-]{43}", page.text)[0]
    assert page.headers["Cache-Control"] == "no-store"
    assert secret not in client.get("/account").text
    program = accounts.test_client()
    bearer = {"Authorization": f"Bearer {secret}"}
    assert submit_job(program, **bearer).status_code == 201
    assert len(client.get("/api/v1/jobs").json["jobs"]) == 1
    assert program.get("/jobs", headers=bearer).status_code == 303  # pages are for people
    token_id = re.search(r"/account/tokens/(\d+)/revoke", client.get("/account").text)[1]
    assert client.post(f"/account/tokens/{token_id}/revoke").status_code == 303
    refused = program.get("/api/v1/jobs", headers=bearer)
    assert (refused.status_code, refused.json["code"]) == (401, "unauthorized")


@pytest.mark.parametrize("header", ["Bearer ", "Bearer yeban_x", "Basic eDp5", "yeban_x", "Bearer é"])
def test_an_invalid_token_is_refused(accounts, header):
    response = accounts.test_client().get("/api/v1/jobs", headers={"Authorization": header})
    assert response.status_code == 401


def test_a_session_without_a_csrf_token_changes_nothing_over_the_api(accounts, person):
    _, client = person("wang")
    assert client.get("/api/v1/jobs").status_code == 200
    refused = submit_job(client)
    assert (refused.status_code, refused.json["code"]) == (403, "forbidden")


def test_a_form_without_a_csrf_token_is_refused(accounts, person):
    _, client = person("wang")
    assert client.post("/sign-out", headers={"X-CSRF-Token": "x"}).status_code == 403
    assert client.get("/jobs").status_code == 200


def test_a_csrf_token_is_valid_in_its_session_alone(accounts, person):
    _, one = person("one")
    _, two = person("two")
    foreign = token_of(one.get("/account").text)
    assert two.post("/sign-out", headers={"X-CSRF-Token": foreign}).status_code == 403


def test_a_correction_stores_the_name_of_its_account(accounts, person, tag):
    _, client = person("wang")
    headers = {"X-CSRF-Token": token_of(client.get("/account").text)}
    job_id = submit_job(client, **headers).json["id"]
    tag(job_id)
    body = {"corrections": [{"row": 1, "labels": ["b"]}], "author": "somebody else"}
    assert client.put(f"/api/v1/jobs/{job_id}/corrections", json=body, headers=headers).status_code == 200
    [correction] = client.get(f"/api/v1/jobs/{job_id}/corrections").json["corrections"]
    assert correction["author"] == "wang"


@pytest.mark.parametrize(
    ("page", "then"),
    [
        ("http://localhost/jobs?state=done", "/jobs?state=done"),
        ("http://localhost/upload", "/upload"),
        ("http://evil.example/jobs", "/"),
        ("http://localhost//evil.example", "/"),
        ("http://localhost/nothing/here", "/"),
        ("http://[", "/"),
        (None, "/"),
    ],
)
def test_a_part_of_a_page_without_a_session_redirects_to_sign_in_and_back(accounts, page, then):
    headers = {"HX-Request": "true"} | ({} if page is None else {"HX-Current-URL": page})
    response = accounts.test_client().get(f"/jobs/{uuid.uuid4()}/live", headers=headers)
    assert response.status_code == 401
    place, _, query = response.headers["HX-Redirect"].partition("?")
    assert (place, parse_qs(query)) == ("/sign-in", {"then": [then]})


@pytest.mark.parametrize(
    ("method", "headers", "told"),
    [("GET", {"HX-Request": "true"}, 1), ("POST", {}, 1), ("GET", {}, 0)],
    ids=["part of a page", "form", "link"],
)
def test_an_open_page_reports_once_that_its_session_has_ended(accounts, method, headers, told):
    client = accounts.test_client()
    for _ in range(2):
        client.open("/upload", method=method, headers=headers)
    assert client.get("/sign-in").text.count("Your session has ended") == told
    assert "Your session has ended" not in client.get("/sign-in").text


def test_without_accounts_no_page_asks_to_sign_in(client):
    assert "anyone who uses this machine" in client.get("/").text
    assert "Accounts are off" in client.get("/account").text
    assert client.get("/sign-in").headers["Location"] == "/"
    assert client.get("/accounts").status_code == 404
    assert client.post("/account/tokens", data={"name": "x"}).status_code == 404


def test_the_sign_in_page_explains_how_to_create_the_first_account(accounts):
    assert "yeban account add" in accounts.test_client().get("/sign-in").text
