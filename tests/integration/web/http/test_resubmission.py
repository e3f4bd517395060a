"""A form that is refused before its view is on the page of the refusal, to be sent again."""

from __future__ import annotations

import html
import io
import re
from pathlib import Path

import pytest

from tests.fixtures.browser_client import token_of
from tests.fixtures.page_checker import checked_page
from web.auth.rate_limits import RateLimits
from web.http import csrf, resubmission
from yeban.accounts import people

PASSWORD = "correct horse battery"
OURS = {"Origin": "http://localhost"}
SET = {
    "name": "售后",
    "label": ["物流", "“退款” <b>"],
    "description": ["包裹的去向", ""],
    "examples": ["快递到哪了\n还没收到", ""],
    "template": "这是关于{}的工单",
    "do": "save",
}


@pytest.fixture
def signed_in(make_app, database):
    """An admin's client, whose next request is one too many, and the token of its forms."""
    people.create_account(database, "wang", PASSWORD, role=people.Role.ADMIN)
    client = make_app(accounts=True, rate_requests=1, rate_texts=1, rate_uploads=0).test_client()
    headers = {"X-CSRF-Token": token_of(client.get("/sign-in").text)}
    client.post("/sign-in", data={"name": "wang", "password": PASSWORD}, headers=headers)
    token = token_of(client.get("/account").text)
    return client, token


def _sent(page: str) -> dict[str, list[str]]:
    """What the form on the page of a refusal would send, without its token."""
    form = page[page.index('<form id="again"') :]
    form = form[: form.index("</form>")]
    fields: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', form):
        fields.setdefault(html.unescape(name), []).append(html.unescape(value))
    assert fields.pop(csrf.FIELD)
    return fields


def _as_lists(form: dict[str, str | list[str]]) -> dict[str, list[str]]:
    return {name: value if isinstance(value, list) else [value] for name, value in form.items()}


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/label-sets/new", SET),
        ("/label-sets/import", {"text": "name\n甲\n乙", "into": ""}),
        ("/label-sets/c990fe63-11e7-4f74-b2cb-a52e593e4dcf/rename", {"name": "售后 2"}),
        ("/webhooks", {"url": "https://example.com/hooks?a=1&b=2"}),
        ("/accounts/wang", {"team": "night & day", "role": "admin"}),
        ("/account/tokens", {"name": "nightly export", "days": "90"}),
        ("/upload/c990fe63-11e7-4f74-b2cb-a52e593e4dcf", {"labels": "甲,乙", "text_column": "正文", "start": "now"}),
        (
            "/jobs/c990fe63-11e7-4f74-b2cb-a52e593e4dcf/review?skip=10",
            {"shown": ["1", "4"], "row-1": "2", "row-4": "none", "then": "next"},
        ),
    ],
)
def test_what_comes_too_often_is_kept_with_all_that_was_entered(signed_in, path, form):
    client, token = signed_in
    response = client.post(path, data=form, headers={"X-CSRF-Token": token, **OURS})
    page = checked_page(response, 429)
    assert int(response.headers["Retry-After"]) >= 1
    assert response.headers["Cache-Control"] == "no-store"
    assert "try again in" in page
    assert f'action="{html.escape(path)}"' in page
    assert _sent(page) == _as_lists(form)


def test_a_kept_form_does_what_it_was_to_do_when_it_is_sent_again(signed_in, monkeypatch):
    client, token = signed_in
    refused = client.post("/label-sets/new", data=SET, headers={"X-CSRF-Token": token, **OURS})
    monkeypatch.setattr(RateLimits, "charge", lambda *_, **__: None)
    sent = _sent(checked_page(refused, 429))
    headers = {"X-CSRF-Token": token_of(refused.text), **OURS}
    saved = client.post("/label-sets/new", data=sent, headers=headers)
    assert saved.status_code == 303, saved.text
    page = html.unescape(client.get(saved.headers["Location"]).text)
    for word in ("售后", "“退款” <b>", "包裹的去向", "快递到哪了", "还没收到"):
        assert word in page


def test_a_form_whose_token_is_over_gets_a_new_one(client):
    form = {"url": "https://example.com/hooks"}
    refused = client.post("/webhooks", data=form, headers={"X-CSRF-Token": "of a session that is over", **OURS})
    page = checked_page(refused, 403)
    assert "Send again" in page
    assert _sent(page) == _as_lists(form)
    token = re.search(rf'<form id="again".*?name="{csrf.FIELD}" value="([^"]+)"', page, re.DOTALL)[1]
    again = client.post("/webhooks", data=_sent(page) | {csrf.FIELD: token}, headers={"X-CSRF-Token": token, **OURS})
    assert again.status_code < 400, again.text


def test_people_read_what_was_kept_in_their_language(client):
    client.post("/preferences", data={"language": "zh"})
    refused = client.post("/label-sets/new", data=SET, headers={"X-CSRF-Token": "over", **OURS})
    page = html.unescape(checked_page(refused, 403))
    assert "您填写的内容仍保留在本页" in page
    assert "<dt>说明</dt><dd>包裹的去向</dd>" in page
    assert "<dt>do</dt>" not in page


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "none", **OURS},
    ],
)
def test_what_no_page_of_ours_is_known_to_have_sent_gets_no_token(client, headers):
    """Or another site could fill a form in, and have a person send it who is signed in here."""
    refused = client.post("/webhooks", data={"url": "https://x.example/"}, headers={"X-CSRF-Token": "x", **headers})
    assert 'id="again"' not in checked_page(refused, 403)
    assert "x.example" not in refused.text


def test_another_sites_form_is_refused_with_nothing_kept(client):
    headers = {"X-CSRF-Token": "x", "Origin": "https://elsewhere.example"}
    refused = client.post("/webhooks", data={"url": "https://x.example/"}, headers=headers)
    assert (refused.status_code, "x.example" in refused.text) == (403, False)


def test_passwords_are_asked_for_again_and_never_shown(signed_in):
    client, token = signed_in
    form = {"name": "li", "team": "days", "password": "a secret of theirs", "role": "member"}
    refused = client.post("/accounts", data=form, headers={"X-CSRF-Token": token, **OURS})
    page = checked_page(refused, 429)
    assert "a secret of theirs" not in page
    assert _sent(page) == _as_lists({name: value for name, value in form.items() if name != "password"})
    assert re.findall(r'name="(\w+)" type="password"', page) == ["password"]


def test_every_field_for_a_password_is_one_that_is_not_kept():
    templates = Path(resubmission.__file__).parents[1] / "templates"
    named = {
        re.search(r'name="([^"]+)"', field)[1]
        for template in templates.glob("*.html")
        for field in re.findall(r'<input[^>]*type="password"[^>]*>', template.read_text(encoding="utf-8"))
    }
    assert named - {"{{ name }}"} == set(resubmission.PASSWORDS)


def test_a_file_is_not_kept_and_not_read(signed_in):
    client, token = signed_in
    data = {"file": (io.BytesIO("text\n包裹\n".encode()), "a.csv")}
    refused = client.post("/upload", data=data, headers={"X-CSRF-Token": token, **OURS})
    assert 'id="again"' not in checked_page(refused, 429)


def test_the_text_beside_a_file_is_kept(signed_in):
    client, token = signed_in
    data = {"file": (io.BytesIO(b"x"), ""), "text": "name\n甲\n乙"}
    refused = client.post("/label-sets/import", data=data, headers={"X-CSRF-Token": token, **OURS})
    assert _sent(checked_page(refused, 429)) == {"text": ["name\n甲\n乙"]}


def test_a_form_that_says_nothing_is_not_kept(signed_in):
    client, token = signed_in
    refused = client.post("/account/sessions/end", headers={"X-CSRF-Token": token, **OURS})
    assert 'id="again"' not in checked_page(refused, 429)


def test_too_large_a_form_is_refused_as_ever(signed_in):
    client, token = signed_in
    body = b"&".join([b"label="] * 20_000)
    refused = client.post(
        "/label-sets/new",
        data=body,
        content_type="application/x-www-form-urlencoded",
        headers={"X-CSRF-Token": token, **OURS},
    )
    assert 'id="again"' not in checked_page(refused, 429)


def test_only_so_many_are_kept_at_a_time(signed_in):
    client, token = signed_in
    with resubmission._AT_ONCE, resubmission._AT_ONCE, resubmission._AT_ONCE, resubmission._AT_ONCE:
        refused = client.post("/webhooks", data={"url": "https://x/"}, headers={"X-CSRF-Token": token, **OURS})
        assert 'id="again"' not in checked_page(refused, 429)
    refused = client.post("/webhooks", data={"url": "https://x/"}, headers={"X-CSRF-Token": token, **OURS})
    assert 'id="again"' in checked_page(refused, 429)
