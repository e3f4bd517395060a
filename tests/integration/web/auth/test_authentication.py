"""With accounts on: nothing without signing in, nothing of others, and nothing by another site's doing."""

from __future__ import annotations

import io
import re
import uuid
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest
import redis
from limits import RateLimitItemPerMinute
from limits.storage import memory

from tests.fixtures.browser_client import token_of
from tests.fixtures.page_checker import form_fields
from tests.fixtures.scraping import Counting
from web.auth import rate_limits
from web.blueprints import Access
from yeban.accounts import people, tokens
from yeban.accounts.people import Role
from yeban.database.engine import Database

PASSWORD = "correct horse battery"
CSV = b"text\none\ntwo\n"
_SAMPLES = {"job_id": str(uuid.uuid4()), "action": "cancel", "filename": "moon.svg", "name": "nobody", "token_id": "1"}


@pytest.fixture
def accounts(make_app):
    return make_app(accounts=True)


@pytest.fixture
def database(database_url):
    opened = Database(database_url, pool_size=2)
    yield opened
    opened.close()


@pytest.fixture
def person(accounts, database):
    """Make an account and a browser in which it is signed in."""

    def make(name, *, role=Role.MEMBER, team="", sign_in=True):
        account = people.create_account(database, name, PASSWORD, role=role, team=team)
        client = accounts.test_client()
        if sign_in:
            assert _sign_in(client, name).status_code == 303
        return account, client

    return make


def _sign_in(client, name, password=PASSWORD, **fields):
    headers = {"X-CSRF-Token": token_of(client.get("/sign-in").text)}
    return client.post("/sign-in", data={"name": name, "password": password, **fields}, headers=headers)


def _post(client, path, **data):
    headers = {"X-CSRF-Token": token_of(client.get("/account").text)}
    return client.post(path, data=data, headers=headers)


def test_who_signs_in_and_from_where_is_counted_and_told_but_no_name_that_failed(person, caplog):
    counted = Counting()
    account, client = person("anna", sign_in=False)
    with caplog.at_level("INFO"):
        for name, password in (("my-password", "x"), ("anna", "wrong one"), ("anna", PASSWORD)):
            _sign_in(client, name, password)
        _post(client, "/sign-out")
        for _ in range(6):
            _sign_in(client, "anna", "wrong one")
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


def _submit(client, **headers):
    form = {"labels": "a,b", "file": (io.BytesIO(CSV), "t.csv")}
    return client.post("/api/v1/jobs", data=form, content_type="multipart/form-data", headers=headers)


def _requests(app):
    """A request for each method of each route, with its policy."""
    for rule in app.url_map.iter_rules():
        values = {
            name: _SAMPLES.get(name) or (str(uuid.uuid4()) if name.endswith("_id") else "1") for name in rule.arguments
        }
        with app.test_request_context():
            built = rule.build(values, append_unknown=False)
        assert built is not None, rule
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield rule, method, built[1]


def test_every_route_that_is_not_public_asks_to_sign_in(accounts):
    client = accounts.test_client()
    for rule, method, path in _requests(accounts):
        response = client.open(path, method=method, headers={"X-CSRF-Token": "none"}, buffered=True)
        if rule.policy.access is Access.PUBLIC:
            assert response.status_code != 401, path
        elif path.startswith("/api/"):
            assert (response.status_code, response.json["code"]) == (401, "unauthorized"), path
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
        else:
            assert response.status_code == 303, path
            assert response.headers["Location"].startswith("/sign-in"), path


def test_every_route_for_admins_refuses_others(accounts, person):
    _, client = person("member")
    token = token_of(client.get("/account").text)
    ends_session = {"pages.sign_out", "pages.end_all_sessions"}
    for rule, method, path in _requests(accounts):
        if rule.policy.access is Access.PUBLIC or rule.endpoint in ends_session:
            continue
        refused = client.open(path, method=method, headers={"X-CSRF-Token": token}).status_code == 403
        assert refused is (rule.policy.access is Access.ADMIN), path


def test_whatever_stands_under_a_job_is_not_found_for_others(accounts, person):
    _, owner = person("owner")
    _, stranger = person("stranger")
    job_id = _submit(owner, **{"X-CSRF-Token": token_of(owner.get("/account").text)}).json["id"]
    token = token_of(stranger.get("/account").text)
    looked_at = 0
    for _rule, method, path in _requests(accounts):
        if _SAMPLES["job_id"] not in path:
            continue
        looked_at += 1
        own = path.replace(_SAMPLES["job_id"], job_id)
        body = {"json": {"corrections": [{"row": 1, "labels": ["a"]}]}} if method == "PUT" else {}
        response = stranger.open(own, method=method, headers={"X-CSRF-Token": token}, **body)
        assert response.status_code == 404, (path, method)
    assert looked_at >= 14
    assert job_id not in stranger.get("/jobs").text
    assert stranger.get("/api/v1/jobs").json["jobs"] == []
    assert owner.get(f"/api/v1/jobs/{job_id}").json["state"] == "queued"


def test_a_team_and_admins_see_a_job_and_may_change_it(accounts, person):
    _, owner = person("owner", team="after sales")
    _, colleague = person("colleague", team="after sales")
    _, admin = person("boss", role=Role.ADMIN)
    _, nobody = person("teamless")
    job_id = _submit(owner, **{"X-CSRF-Token": token_of(owner.get("/account").text)}).json["id"]
    for client in (colleague, admin):
        assert client.get(f"/api/v1/jobs/{job_id}").status_code == 200
        assert [job["id"] for job in client.get("/api/v1/jobs").json["jobs"]] == [job_id]
    assert nobody.get(f"/api/v1/jobs/{job_id}").status_code == 404
    assert _post(colleague, f"/jobs/{job_id}/cancel").status_code == 303
    assert owner.get(f"/api/v1/jobs/{job_id}").json["state"] == "cancelled"


def test_people_without_a_team_do_not_share_one(accounts, person):
    _, one = person("one")
    _, two = person("two")
    job_id = _submit(one, **{"X-CSRF-Token": token_of(one.get("/account").text)}).json["id"]
    assert two.get(f"/jobs/{job_id}").status_code == 404


def test_the_same_idempotency_key_of_two_people_makes_two_jobs(accounts, person):
    _, one = person("one")
    _, two = person("two")
    made = [
        _submit(client, **{"X-CSRF-Token": token_of(client.get("/account").text), "Idempotency-Key": "k"})
        for client in (one, two)
    ]
    assert [response.status_code for response in made] == [201, 201]


def test_signing_in_leads_back_to_where_one_was(accounts, person):
    _, client = person("wang", sign_in=False)
    response = client.get("/jobs?state=running")
    assert response.headers["Location"] == "/sign-in?then=/jobs?state%3Drunning"
    assert _sign_in(client, "wang", then="/jobs?state=running").headers["Location"] == "/jobs?state=running"
    assert client.get("/jobs").status_code == 200
    assert client.get("/sign-in?then=/jobs").headers["Location"] == "/jobs"


@pytest.mark.parametrize("then", ["//evil.example", "/\\evil.example", "https://evil.example/", "jobs", "/\n/evil", ""])
def test_signing_in_never_leads_elsewhere(accounts, person, then):
    _, client = person("wang", sign_in=False)
    assert _sign_in(client, "wang", then=then).headers["Location"] == "/"


def test_a_session_is_a_cookie_that_scripts_and_other_sites_do_not_get(accounts, person):
    _, client = person("wang", sign_in=False)
    cookie = _sign_in(client, "wang").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie


def test_behind_a_proxy_that_speaks_https_the_cookie_never_goes_without_it(make_app, database):
    people.create_account(database, "wang", PASSWORD, role=people.Role.MEMBER)
    client = make_app(accounts=True, proxies=1).test_client()
    headers = {"X-Forwarded-Proto": "https"}
    token = token_of(client.get("/sign-in", headers=headers).text)
    assert token
    response = client.get("/sign-in", headers=headers)
    assert all("Secure" in cookie for cookie in response.headers.getlist("Set-Cookie"))


def test_the_form_of_the_password_can_be_sent_as_it_stands(accounts, person):
    _, client = person("wang")
    sent = form_fields(client.get("/account").text, "change-password")
    assert {"username", "present", "password", "again"} <= sent.keys()
    sent |= {"present": PASSWORD, "password": "quite another one", "again": "quite another one"}
    assert _post(client, "/account/password", **sent).status_code == 303


def test_a_changed_password_may_end_tokens_too(accounts, person, database):
    account, client = person("wang")
    _, secret = tokens.create_token(database, account, "export")
    new = {"present": PASSWORD, "password": "quite another one", "again": "quite another one"}
    _post(client, "/account/password", **new)
    assert tokens.account_of(database, secret)
    again = {"present": new["password"], "password": "and one more of it", "again": "and one more of it"}
    _post(client, "/account/password", **again, revoke_tokens="on")
    assert tokens.account_of(database, secret) is None


def test_a_cookie_that_was_kept_is_worth_nothing_after_signing_out(accounts, person):
    _, client = person("wang")
    kept = client.get_cookie("yeban_session").value
    _post(client, "/sign-out")
    client.set_cookie("yeban_session", kept)
    assert client.get("/jobs").status_code == 303


def test_a_session_does_not_outlive_being_disabled(accounts, person, database):
    account, client = person("wang")
    person("boss", role=Role.ADMIN, sign_in=False)
    for disabled in (True, False):
        people.change_account(database, account, role=account.role, team="", disabled=disabled)
    assert client.get("/jobs").status_code == 303


def test_files_of_a_page_do_not_renew_the_session(accounts, person):
    _, client = person("wang")
    with client.get("/static/css/base.css") as response:
        assert "Set-Cookie" not in response.headers
    assert "Set-Cookie" not in client.get("/healthz").headers


def test_signing_out_ends_the_session(accounts, person):
    _, client = person("wang")
    assert _post(client, "/sign-out").headers["Location"] == "/sign-in"
    assert client.get("/jobs").status_code == 303


def test_another_password_ends_all_other_sessions(accounts, person):
    _, client = person("wang")
    other = accounts.test_client()
    _sign_in(other, "wang")
    new = {"password": "quite another one", "again": "quite another one"}
    assert _post(client, "/account/password", present="wrong", **new).status_code == 401
    assert _post(client, "/account/password", present=PASSWORD, password="a", again="a").status_code == 422
    assert _post(client, "/account/password", present=PASSWORD, **{**new, "again": "x"}).status_code == 422
    assert other.get("/jobs").status_code == 200
    assert _post(client, "/account/password", present=PASSWORD, **new).status_code == 303
    assert client.get("/jobs").status_code == 200
    assert other.get("/jobs").status_code == 303


def test_one_may_sign_out_everywhere(accounts, person):
    _, client = person("wang")
    other = accounts.test_client()
    _sign_in(other, "wang")
    _post(client, "/account/sessions/end")
    assert [each.get("/jobs").status_code for each in (client, other)] == [303, 303]


def test_a_disabled_person_is_out_at_once(accounts, person, database):
    account, client = person("wang")
    _, secret = tokens.create_token(database, account, "export")
    person("boss", role=Role.ADMIN, sign_in=False)
    people.change_account(database, account, role=account.role, team="", disabled=True)
    assert client.get("/jobs").status_code == 303
    assert client.get("/api/v1/jobs", headers={"Authorization": f"Bearer {secret}"}).status_code == 401


def test_a_token_of_the_page_works_and_is_shown_once(accounts, person):
    _, client = person("wang")
    page = _post(client, "/account/tokens", name="nightly", days="30")
    secret = re.search(r"yeban_[a-z2-7]{10}_[\w-]{43}", page.text)[0]
    assert page.headers["Cache-Control"] == "no-store"
    assert secret not in client.get("/account").text
    program = accounts.test_client()
    bearer = {"Authorization": f"Bearer {secret}"}
    assert _submit(program, **bearer).status_code == 201
    assert len(client.get("/api/v1/jobs").json["jobs"]) == 1
    assert program.get("/jobs", headers=bearer).status_code == 303  # pages are for people
    token_id = re.search(r"/account/tokens/(\d+)/revoke", client.get("/account").text)[1]
    assert _post(client, f"/account/tokens/{token_id}/revoke").status_code == 303
    refused = program.get("/api/v1/jobs", headers=bearer)
    assert (refused.status_code, refused.json["code"]) == (401, "unauthorized")


@pytest.mark.parametrize("header", ["Bearer ", "Bearer yeban_x", "Basic eDp5", "yeban_x", "Bearer é"])
def test_what_is_no_token_is_refused(accounts, header):
    response = accounts.test_client().get("/api/v1/jobs", headers={"Authorization": header})
    assert response.status_code == 401


def test_a_session_alone_changes_nothing_over_the_api(accounts, person):
    _, client = person("wang")
    assert client.get("/api/v1/jobs").status_code == 200
    refused = _submit(client)
    assert (refused.status_code, refused.json["code"]) == (403, "forbidden")


def test_a_form_without_its_token_is_refused(accounts, person):
    _, client = person("wang")
    assert client.post("/sign-out", headers={"X-CSRF-Token": "x"}).status_code == 403
    assert client.get("/jobs").status_code == 200


def test_the_token_of_one_session_is_none_of_another(accounts, person):
    _, one = person("one")
    _, two = person("two")
    foreign = token_of(one.get("/account").text)
    assert two.post("/sign-out", headers={"X-CSRF-Token": foreign}).status_code == 403


def test_guessing_passwords_is_held_up(accounts, person):
    _, client = person("wang", sign_in=False)
    for name in ("wang", "WANG", " wang", "ｗａｎｇ", "wa\0ng"):
        assert _sign_in(client, name, "wrong password").status_code == 401
    refused = _sign_in(client, "wang")  # even the right one, for now
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


def test_signing_in_forgives_what_went_wrong_before(accounts, person):
    _, client = person("wang", sign_in=False)
    for _ in range(3):
        assert [_sign_in(client, "wang", "wrong password").status_code for _ in range(4)] == [401] * 4
        assert _sign_in(client, "wang").status_code == 303
        _post(client, "/sign-out")


def test_those_who_guess_elsewhere_do_not_shut_a_person_out(accounts, person, monkeypatch):
    monkeypatch.setattr(rate_limits, "_ATTEMPTS_ANYWHERE", RateLimitItemPerMinute(3, 15))
    _, client = person("wang")
    _post(client, "/sign-out")
    for number in range(5):
        token = token_of(client.get("/sign-in").text)
        client.post(
            "/sign-in",
            data={"name": "wang", "password": "wrong password"},
            headers={"X-CSRF-Token": token},
            environ_base={"REMOTE_ADDR": f"192.0.2.{number}"},
        )
    assert _sign_in(client, "wang").status_code == 303


def test_a_long_name_takes_no_room(accounts, person, redis_url):
    _, client = person("wang", sign_in=False)
    _sign_in(client, "x" * 100_000, "wrong password")
    with redis.Redis.from_url(redis_url) as server:
        assert max(map(len, server.scan_iter("*"))) < 200


def test_wrong_tokens_are_held_up_and_hold_nobody_elses_up(accounts, database):
    account = people.create_account(database, "wang", PASSWORD, role=people.Role.MEMBER)
    _, secret = tokens.create_token(database, account, "export")
    client = accounts.test_client()
    wrong = {"Authorization": f"Bearer {secret[:-5]}wrong"}
    statuses = [client.get("/api/v1/jobs", headers=wrong).status_code for _ in range(61)]
    assert statuses == [401] * 60 + [429]
    assert client.get("/api/v1/jobs", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    assert _sign_in(client, "wang").status_code == 303


def test_guessing_is_held_up_while_redis_is_away_too(make_app, database, monkeypatch):
    # A process by itself counts in windows that begin with the clock's; one must not end meanwhile.
    monkeypatch.setattr(memory, "time", SimpleNamespace(time=lambda: 1_800_000_100.0))
    people.create_account(database, "wang", PASSWORD, role=people.Role.MEMBER)
    client = make_app(accounts=True, redis_url="redis://127.0.0.1:1/0").test_client()
    statuses = [_sign_in(client, "wang", "wrong password").status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429]


def test_an_account_asks_only_so_often(make_app, database):
    account = people.create_account(database, "wang", PASSWORD, role=people.Role.MEMBER)
    _, secret = tokens.create_token(database, account, "loop")
    client = make_app(accounts=True, rate_requests=3, rate_uploads=1).test_client()
    bearer = {"Authorization": f"Bearer {secret}"}
    answers = [client.get("/api/v1/jobs", headers=bearer) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].json["code"] == "rate_limited"
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 60
    assert [_submit(client, **bearer).status_code for _ in range(2)] == [201, 429]
    assert client.get("/healthz").status_code == 200


def test_a_correction_bears_the_name_of_whoever_is_signed_in(accounts, person, tag):
    _, client = person("wang")
    headers = {"X-CSRF-Token": token_of(client.get("/account").text)}
    job_id = _submit(client, **headers).json["id"]
    tag(job_id)
    body = {"corrections": [{"row": 1, "labels": ["b"]}], "author": "somebody else"}
    assert client.put(f"/api/v1/jobs/{job_id}/corrections", json=body, headers=headers).status_code == 200
    [correction] = client.get(f"/api/v1/jobs/{job_id}/corrections").json["corrections"]
    assert correction["author"] == "wang"


def test_admins_look_after_the_accounts(accounts, person, database):
    _, admin = person("boss", role=Role.ADMIN)
    assert _post(admin, "/accounts", name="小李", password=PASSWORD, team="售后", role="member").status_code == 303
    assert _post(admin, "/accounts", name="小李", password=PASSWORD, role="member").status_code == 409
    assert _post(admin, "/accounts", name="小赵", password=PASSWORD).status_code == 422  # a role has no default
    assert _post(admin, "/accounts", name="小赵", password="short").status_code == 422
    assert "小李" in admin.get("/accounts").text
    assert _post(admin, "/accounts/小李", team="", role="admin").status_code == 303
    assert people.get_account(database, "小李").role is Role.ADMIN
    assert _post(admin, "/accounts/小李/password", password="quite another one").status_code == 303
    assert people.sign_in(database, "小李", "quite another one")
    assert _post(admin, "/accounts/小李", team="", role="member", disabled="on").status_code == 303
    assert people.sign_in(database, "小李", "quite another one") is None
    assert _post(admin, "/accounts/boss", team="", role="member").status_code == 409
    assert admin.get("/accounts/nobody").status_code == 404


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
def test_a_part_of_a_page_whose_session_ended_sends_the_browser_to_sign_in_and_back(accounts, page, then):
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
def test_a_page_that_was_left_open_overnight_is_told_that_its_session_ended(accounts, method, headers, told):
    client = accounts.test_client()
    for _ in range(2):
        client.open("/upload", method=method, headers=headers)
    assert client.get("/sign-in").text.count("Your session has ended") == told
    assert "Your session has ended" not in client.get("/sign-in").text


def test_a_part_refused_before_its_view_leaves_the_page_as_it_is(make_app, database):
    people.create_account(database, "wang", PASSWORD, role=people.Role.MEMBER)
    client = make_app(accounts=True, rate_texts=1).test_client()
    _sign_in(client, "wang")
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


def test_without_accounts_the_pages_say_so_and_ask_for_nothing(client):
    assert "whoever uses this machine" in client.get("/").text
    assert "There are no accounts" in client.get("/account").text
    assert client.get("/sign-in").headers["Location"] == "/"
    assert client.get("/accounts").status_code == 404
    assert client.post("/account/tokens", data={"name": "x"}).status_code == 404


def test_a_server_without_any_account_says_how_to_make_one(accounts):
    assert "yeban account add" in accounts.test_client().get("/sign-in").text
