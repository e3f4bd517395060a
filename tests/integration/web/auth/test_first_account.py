"""The account that there is before anybody could make one."""

from __future__ import annotations

import pytest

from web.auth.first_account import make_first_account
from yeban.accounts import people
from yeban.accounts.people import Role
from yeban.database.engine import Database
from yeban.errors import ConfigurationError

PASSWORD = "correct horse battery"


@pytest.fixture
def database(database_url):
    opened = Database(database_url, pool_size=1)
    yield opened
    opened.close()


def test_it_is_made_with_the_configured_password_once(settings, database_url, database):
    configured = settings.model_copy(update={"admin_password": PASSWORD})
    make_first_account(configured, database_url)
    make_first_account(configured.model_copy(update={"admin_password": "quite another one"}), database_url)
    [made] = people.list_accounts(database)
    assert (made.name, made.role) == ("admin", Role.ADMIN)
    assert people.sign_in(database, "admin", PASSWORD) == made


def test_none_is_made_where_there_are_some(settings, database_url, database):
    people.create_account(database, "boss", PASSWORD, role=people.Role.MEMBER)
    make_first_account(settings.model_copy(update={"admin_password": PASSWORD}), database_url)
    assert [account.name for account in people.list_accounts(database)] == ["boss"]


def test_without_a_password_it_says_how_to_make_one(settings, database_url, caplog):
    make_first_account(settings, database_url)
    assert "yeban account add" in caplog.text


def test_a_password_that_may_not_be_one_is_refused(settings, database_url):
    with pytest.raises(ConfigurationError, match="YEBAN_ADMIN_PASSWORD: A password has") as caught:
        make_first_account(settings.model_copy(update={"admin_password": "short"}), database_url)
    assert "short" not in caught.value.detail


def test_a_database_that_is_away_keeps_nobody_from_starting(settings, caplog):
    make_first_account(settings, "postgresql://127.0.0.1:1/none")
    assert "cannot check whether accounts exist" in caplog.text
