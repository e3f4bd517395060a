"""Limits on sign-ins, tokens and requests."""

from __future__ import annotations

from types import SimpleNamespace

import redis
from limits import RateLimitItemPerMinute
from limits.storage import memory

from tests.fixtures.accounts import PASSWORD, sign_in, submit_job
from tests.fixtures.browser_client import token_of
from web.auth import rate_limits
from yeban.accounts import people, tokens


def test_guessing_passwords_is_limited_by_name_and_address(accounts, person):
    _, client = person("wang", signed_in=False)
    for name in ("wang", "WANG", " wang", "ｗａｎｇ", "wa\0ng"):
        assert sign_in(client, name, "wrong password").status_code == 401
    refused = sign_in(client, "wang")  # even the right one, for now
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 15 * 60
    elsewhere = accounts.test_client()
    token = token_of(elsewhere.get("/sign-in").text)
    response = elsewhere.post(
        "/sign-in",
        data={"name": "wang", "password": PASSWORD},
        headers={"X-CSRF-Token": token},
        environ_base={"REMOTE_ADDR": "192.0.2.7"},
    )
    assert response.status_code == 303


def test_signing_in_clears_earlier_failures(accounts, person):
    _, client = person("wang", signed_in=False)
    for _ in range(3):
        assert [sign_in(client, "wang", "wrong password").status_code for _ in range(4)] == [401] * 4
        assert sign_in(client, "wang").status_code == 303
        client.post("/sign-out")


def test_guesses_from_other_addresses_do_not_lock_an_account_out(accounts, person, monkeypatch):
    monkeypatch.setattr(rate_limits, "_ATTEMPTS_ANYWHERE", RateLimitItemPerMinute(3, 15))
    _, client = person("wang")
    client.post("/sign-out")
    for number in range(5):
        token = token_of(client.get("/sign-in").text)
        client.post(
            "/sign-in",
            data={"name": "wang", "password": "wrong password"},
            headers={"X-CSRF-Token": token},
            environ_base={"REMOTE_ADDR": f"192.0.2.{number}"},
        )
    assert sign_in(client, "wang").status_code == 303


def test_a_long_name_takes_no_space_in_redis(accounts, person, redis_url):
    _, client = person("wang", signed_in=False)
    sign_in(client, "x" * 100_000, "wrong password")
    with redis.Redis.from_url(redis_url) as server:
        assert max(map(len, server.scan_iter("*"))) < 200


def test_wrong_tokens_are_limited_and_do_not_affect_valid_ones(accounts, database):
    account = people.create_account(database, "wang", PASSWORD, role=people.Role.MEMBER)
    _, secret = tokens.create_token(database, account, "export")
    client = accounts.test_client()
    wrong = {"Authorization": f"Bearer {secret[:-5]}wrong"}
    statuses = [client.get("/api/v1/jobs", headers=wrong).status_code for _ in range(61)]
    assert statuses == [401] * 60 + [429]
    assert client.get("/api/v1/jobs", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    assert sign_in(client, "wang").status_code == 303


def test_guessing_is_limited_while_redis_is_unreachable(make_app, database, monkeypatch):
    # The in-memory limiter has fixed windows; none may end during the test.
    monkeypatch.setattr(memory, "time", SimpleNamespace(time=lambda: 1_800_000_100.0))
    people.create_account(database, "wang", PASSWORD, role=people.Role.MEMBER)
    client = make_app(accounts=True, redis_url="redis://127.0.0.1:1/0").test_client()
    statuses = [sign_in(client, "wang", "wrong password").status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429]


def test_the_requests_and_uploads_of_an_account_are_limited(make_app, database):
    account = people.create_account(database, "wang", PASSWORD, role=people.Role.MEMBER)
    _, secret = tokens.create_token(database, account, "loop")
    client = make_app(accounts=True, rate_requests=3, rate_uploads=1).test_client()
    bearer = {"Authorization": f"Bearer {secret}"}
    answers = [client.get("/api/v1/jobs", headers=bearer) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].json["code"] == "rate_limited"
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 60
    assert [submit_job(client, **bearer).status_code for _ in range(2)] == [201, 429]
    assert client.get("/healthz").status_code == 200


def test_a_refused_part_leaves_the_page_unchanged(make_app, database):
    people.create_account(database, "wang", PASSWORD, role=people.Role.MEMBER)
    client = make_app(accounts=True, rate_texts=1).test_client()
    sign_in(client, "wang")
    script = {"HX-Request": "true", "X-CSRF-Token": token_of(client.get("/account").text)}
    text = {"text": "a ticket", "labels": ""}
    assert client.post("/", data=text, headers=script).status_code == 422
    refused = client.post("/", data=text, headers=script)
    assert (refused.status_code, refused.headers["X-Problem"]) == (429, "rate_limited")
    assert int(refused.headers["Retry-After"]) >= 1
    assert (refused.headers["HX-Retarget"], refused.headers["HX-Reswap"]) == ("#refusal", "innerHTML")
    assert refused.text.count("<div") == 1
    assert 'role="alert"' in refused.text
    assert "<html" in client.post("/", data=text, headers={"X-CSRF-Token": script["X-CSRF-Token"]}).text
