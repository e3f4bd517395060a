"""Fixtures for tests with accounts."""

from __future__ import annotations

import pytest

from tests.fixtures.accounts import PASSWORD, sign_in
from yeban.accounts import people
from yeban.accounts.people import Role


@pytest.fixture
def accounts(make_app):
    """An app with accounts on."""
    return make_app(accounts=True)


@pytest.fixture
def person(accounts, database):
    """Make an account and a browser in which it is signed in."""

    def make(name, *, role=Role.MEMBER, team="", signed_in=True):
        account = people.create_account(database, name, PASSWORD, role=role, team=team)
        client = accounts.test_client()
        if signed_in:
            assert sign_in(client, name).status_code == 303
        return account, client

    return make
