"""First account of a new database."""

from __future__ import annotations

import pytest

from web.auth.first_account import make_first_account
from yeban.accounts import people
from yeban.accounts.people import Role
from yeban.errors import ConfigurationError

PASSWORD = "correct horse battery"


def test_it_is_created_once_with_the_configured_password(settings, database_url, database):
    configured = settings.model_copy(update={"admin_password": PASSWORD})
    make_first_account(configured, database_url)
    make_first_account(configured.model_copy(update={"admin_password": "quite another one"}), database_url)
    [made] = people.list_accounts(database)
    assert (made.name, made.role) == ("admin", Role.ADMIN)
    assert people.sign_in(database, "admin", PASSWORD) == made


def test_it_is_not_created_where_accounts_exist(settings, database_url, database):
    people.create_account(database, "boss", PASSWORD, role=people.Role.MEMBER)
    make_first_account(settings.model_copy(update={"admin_password": PASSWORD}), database_url)
    assert [account.name for account in people.list_accounts(database)] == ["boss"]


def test_without_a_password_the_log_explains_how_to_create_one(settings, database_url, caplog):
    make_first_account(settings, database_url)
    assert "yeban account add" in caplog.text


def test_an_invalid_password_is_a_configuration_error(settings, database_url):
    with pytest.raises(ConfigurationError, match="YEBAN_ADMIN_PASSWORD: The password must have") as caught:
        make_first_account(settings.model_copy(update={"admin_password": "short"}), database_url)
    assert "short" not in caught.value.detail


def test_an_unreachable_database_does_not_prevent_the_start(settings, caplog):
    make_first_account(settings, "postgresql://127.0.0.1:1/none")
    assert "cannot check whether accounts exist" in caplog.text
