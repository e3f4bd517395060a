"""Every route declares the callers it admits; one that does not is closed."""

from __future__ import annotations

import pytest

from tests.fixtures.accounts import PASSWORD, sample_requests, sign_in
from tests.fixtures.browser_client import token_of
from web.blueprints import Access, api, pages, probes
from yeban.accounts import people
from yeban.accounts.people import Role

_UNDECLARED = ("/undeclared", "/api/v1/undeclared")


def _add_undeclared_routes(app):
    for path in _UNDECLARED:
        app.add_url_rule(path, path.replace("/", "_"), lambda: "the view ran", methods=["GET", "POST"])


def _assert_closed(client):
    for path in _UNDECLARED:
        for method in ("GET", "POST"):
            response = client.open(path, method=method)
            assert (response.status_code, "the view ran" in response.text) == (403, False), (method, path)


def test_a_route_without_a_policy_answers_403_where_accounts_are_off(make_app):
    app = make_app()
    _add_undeclared_routes(app)
    _assert_closed(app.test_client())


@pytest.mark.parametrize("role", [None, *Role])
def test_a_route_without_a_policy_answers_403_to_every_account(make_app, database, role):
    app = make_app(accounts=True)
    _add_undeclared_routes(app)
    client = app.test_client()
    if role is not None:
        people.create_account(database, "wang", PASSWORD, role=role)
        assert sign_in(client, "wang").status_code == 303
    _assert_closed(client)


@pytest.mark.parametrize("blueprint", [api, pages, probes], ids=lambda blueprint: blueprint.name)
def test_a_blueprint_takes_no_route_without_a_policy(blueprint, monkeypatch):
    monkeypatch.setattr(blueprint, "_got_registered_once", False)
    with pytest.raises(TypeError, match="policy"):
        blueprint.get("/undeclared")(lambda: "")


def test_every_route_has_a_policy(app):
    assert [rule.rule for rule in app.url_map.iter_rules() if rule.policy is None] == []


def test_only_these_routes_are_public(app):
    assert _endpoints(app, lambda policy: policy.access is Access.PUBLIC) == {
        "static",
        "probes.alive",
        "probes.ready",
        "probes.show_metrics",
        "pages.sign_in",
        "pages.sign_in_with_password",
        "pages.keep_preferences",
    }


def test_only_accounts_are_for_admins(app):
    assert _endpoints(app, lambda policy: policy.access is Access.ADMIN) == {
        "pages.index_accounts",
        "pages.add_account",
        "pages.show_person",
        "pages.change_person",
        "pages.reset_password",
    }


def test_routes_that_take_a_text_or_an_upload_cost_more_than_a_request(app):
    costs = {rule.endpoint: (rule.policy.limit, rule.policy.cost) for rule in app.url_map.iter_rules()}
    assert {endpoint: cost for endpoint, cost in costs.items() if cost != ("requests", 1)} == {
        "api.classify_text": ("texts", 1),
        "pages.classify_text": ("texts", 1),
        "pages.try_draft": ("texts", 20),
        "api.create_job": ("uploads", 1),
        "pages.upload_file": ("uploads", 1),
    }


def test_every_route_that_is_not_public_asks_tosign_in(accounts):
    client = accounts.test_client()
    for rule, method, path in sample_requests(accounts):
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
    for rule, method, path in sample_requests(accounts):
        if rule.policy.access is Access.PUBLIC or rule.endpoint in ends_session:
            continue
        refused = client.open(path, method=method, headers={"X-CSRF-Token": token}).status_code == 403
        assert refused is (rule.policy.access is Access.ADMIN), path


def _endpoints(app, wanted):
    return {rule.endpoint for rule in app.url_map.iter_rules() if wanted(rule.policy)}
