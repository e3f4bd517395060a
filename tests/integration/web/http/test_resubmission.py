"""Resubmission of a form that was refused before its view ran."""

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
    """An admin's client at its rate limit, and the CSRF token of its session."""
    people.create_account(database, "wang", PASSWORD, role=people.Role.ADMIN)
    client = make_app(accounts=True, rate_requests=1, rate_texts=1, rate_uploads=0).test_client()
    headers = {"X-CSRF-Token": token_of(client.get("/sign-in").text)}
    client.post("/sign-in", data={"name": "wang", "password": PASSWORD}, headers=headers)
    token = token_of(client.get("/account").text)
    return client, token


def _sent(page: str) -> dict[str, list[str]]:
    """Fields of the form on the error page, without the CSRF token."""
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
def test_a_form_over_the_rate_limit_is_shown_with_every_value(signed_in, path, form):
    client, token = signed_in
    response = client.post(path, data=form, headers={"X-CSRF-Token": token, **OURS})
    page = checked_page(response, 429)
    assert int(response.headers["Retry-After"]) >= 1
    assert response.headers["Cache-Control"] == "no-store"
    assert "Try again in" in page
    assert f'action="{html.escape(path)}"' in page
    assert _sent(page) == _as_lists(form)


def test_a_resubmitted_form_has_its_effect(signed_in, monkeypatch):
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


def test_a_form_with_an_expired_token_gets_a_new_one(client):
    form = {"url": "https://example.com/hooks"}
    refused = client.post("/webhooks", data=form, headers={"X-CSRF-Token": "of a session that is over", **OURS})
    page = checked_page(refused, 403)
    assert "Send again" in page
    assert _sent(page) == _as_lists(form)
    token = re.search(rf'<form id="again".*?name="{csrf.FIELD}" value="([^"]+)"', page, re.DOTALL)[1]
    again = client.post("/webhooks", data=_sent(page) | {csrf.FIELD: token}, headers={"X-CSRF-Token": token, **OURS})
    assert again.status_code < 400, again.text


def test_field_names_are_shown_in_the_language_of_the_reader(client):
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
def test_a_form_not_proven_to_come_from_this_site_gets_no_token(client, headers):
    """Otherwise another site could prefill a form for a signed-in person to send."""
    refused = client.post("/webhooks", data={"url": "https://x.example/"}, headers={"X-CSRF-Token": "x", **headers})
    assert 'id="again"' not in checked_page(refused, 403)
    assert "x.example" not in refused.text


def test_a_form_of_another_site_is_not_shown_again(client):
    headers = {"X-CSRF-Token": "x", "Origin": "https://elsewhere.example"}
    refused = client.post("/webhooks", data={"url": "https://x.example/"}, headers=headers)
    assert (refused.status_code, "x.example" in refused.text) == (403, False)


def test_passwords_must_be_typed_again(signed_in):
    client, token = signed_in
    form = {"name": "li", "team": "days", "password": "a secret of theirs", "role": "member"}
    refused = client.post("/accounts", data=form, headers={"X-CSRF-Token": token, **OURS})
    page = checked_page(refused, 429)
    assert "a secret of theirs" not in page
    assert _sent(page) == _as_lists({name: value for name, value in form.items() if name != "password"})
    assert re.findall(r'name="(\w+)" type="password"', page) == ["password"]


def test_every_password_field_of_a_template_is_excluded():
    templates = Path(resubmission.__file__).parents[1] / "templates"
    named = {
        re.search(r'name="([^"]+)"', field)[1]
        for template in templates.glob("*.html")
        for field in re.findall(r'<input[^>]*type="password"[^>]*>', template.read_text(encoding="utf-8"))
    }
    assert named - {"{{ name }}"} == set(resubmission.PASSWORDS)


def test_an_upload_is_neither_read_nor_shown_again(signed_in):
    client, token = signed_in
    data = {"file": (io.BytesIO("text\n包裹\n".encode()), "a.csv")}
    refused = client.post("/upload", data=data, headers={"X-CSRF-Token": token, **OURS})
    assert 'id="again"' not in checked_page(refused, 429)


def test_text_beside_a_file_is_shown_again(signed_in):
    client, token = signed_in
    data = {"file": (io.BytesIO(b"x"), ""), "text": "name\n甲\n乙"}
    refused = client.post("/label-sets/import", data=data, headers={"X-CSRF-Token": token, **OURS})
    assert _sent(checked_page(refused, 429)) == {"text": ["name\n甲\n乙"]}


def test_an_empty_form_is_not_shown_again(signed_in):
    client, token = signed_in
    refused = client.post("/account/sessions/end", headers={"X-CSRF-Token": token, **OURS})
    assert 'id="again"' not in checked_page(refused, 429)


def test_a_form_that_is_too_large_is_not_shown_again(signed_in):
    client, token = signed_in
    body = b"&".join([b"label="] * 20_000)
    refused = client.post(
        "/label-sets/new",
        data=body,
        content_type="application/x-www-form-urlencoded",
        headers={"X-CSRF-Token": token, **OURS},
    )
    assert 'id="again"' not in checked_page(refused, 429)


def test_few_forms_are_shown_again_at_a_time(signed_in):
    client, token = signed_in
    with resubmission._AT_ONCE, resubmission._AT_ONCE, resubmission._AT_ONCE, resubmission._AT_ONCE:
        refused = client.post("/webhooks", data={"url": "https://x/"}, headers={"X-CSRF-Token": token, **OURS})
        assert 'id="again"' not in checked_page(refused, 429)
    refused = client.post("/webhooks", data={"url": "https://x/"}, headers={"X-CSRF-Token": token, **OURS})
    assert 'id="again"' in checked_page(refused, 429)
