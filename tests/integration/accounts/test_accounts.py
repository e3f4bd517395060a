"""Accounts and tokens in a real database."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from yeban.accounts import people, tokens
from yeban.accounts.people import Role
from yeban.database.engine import Database
from yeban.errors import Conflict, InvalidRequest, NotFound

PASSWORD = "correct horse battery"


@pytest.fixture
def database(database_url):
    opened = Database(database_url, pool_size=2)
    yield opened
    opened.close()


@pytest.fixture
def admin(database):
    return people.create_account(database, "Boss", PASSWORD, role=Role.ADMIN)


@pytest.fixture
def member(database, admin):
    return people.create_account(database, "小王", PASSWORD, team="售后", role=Role.MEMBER)


def test_only_the_right_password_signs_in(database, member):
    assert people.sign_in(database, "小王", PASSWORD) == member
    assert people.sign_in(database, " 小王 ", PASSWORD) == member
    for name, password in [
        ("小王", PASSWORD + "x"),
        ("小王", ""),
        ("小李", PASSWORD),
        ("", ""),
        ("小\x00王x", PASSWORD),
    ]:
        assert people.sign_in(database, name, password) is None


def test_names_that_look_alike_are_one(database, admin):
    assert admin.name == "boss"
    assert people.sign_in(database, "ＢＯＳＳ", PASSWORD) == admin
    with pytest.raises(Conflict, match="boss"):
        people.create_account(database, "BOSS", PASSWORD, role=Role.MEMBER)


@pytest.mark.parametrize("name", ["", " ", "-x", "a/b", "a\nb", "x" * 65, "<b>", "a  b"])
def test_what_is_no_name_is_refused(database, name):
    with pytest.raises(InvalidRequest, match="name must have"):
        people.create_account(database, name, PASSWORD, role=Role.MEMBER)


@pytest.mark.parametrize("password", ["", "short", "aaaaaaaaaaaa", "my boss is boss", "x" * 201])
def test_a_password_that_guards_nothing_is_refused(database, password):
    with pytest.raises(InvalidRequest, match="assword"):
        people.create_account(database, "boss", password, role=Role.MEMBER)


def test_a_short_name_may_be_a_part_of_a_password(database):
    assert people.create_account(database, "a", PASSWORD, role=Role.MEMBER).name == "a"


def test_no_password_and_no_token_is_kept_as_it_is(database, member):
    _, secret = tokens.create_token(database, member, "export")
    with database.begin() as connection:
        kept = str(connection.execute(text("SELECT * FROM account, api_token")).all())
    assert PASSWORD not in kept
    assert secret not in kept
    assert "$argon2id$" in kept


def test_a_password_made_with_weaker_parameters_is_made_anew(database, member):
    weak = "$argon2id$v=19$m=64,t=1,p=1$"
    from argon2 import PasswordHasher

    with database.begin() as connection:
        connection.execute(
            text("UPDATE account SET password_hash = :hash WHERE name = '小王'"),
            {"hash": PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)},
        )
    assert people.sign_in(database, "小王", PASSWORD) == member
    with database.begin() as connection:
        kept = connection.scalar(text("SELECT password_hash FROM account WHERE name = '小王'"))
    assert not kept.startswith(weak)
    assert people.sign_in(database, "小王", PASSWORD) == member


def test_a_changed_password_ends_sessions(database, member):
    people.change_password(database, member, "another good one")
    assert people.sign_in(database, "小王", PASSWORD) is None
    changed = people.sign_in(database, "小王", "another good one")
    assert changed.sessions_from > member.sessions_from


def test_a_disabled_account_can_do_nothing_until_it_is_enabled(database, member):
    _, secret = tokens.create_token(database, member, "export")
    people.change_account(database, member, role=member.role, team=member.team, disabled=True)
    assert people.sign_in(database, "小王", PASSWORD) is None
    assert tokens.account_of(database, secret) is None
    people.change_account(database, member, role=member.role, team=member.team, disabled=False)
    enabled = people.sign_in(database, "小王", PASSWORD)
    assert enabled.sessions_from > member.sessions_from
    assert tokens.account_of(database, secret) == enabled


@pytest.mark.parametrize(("role", "disabled"), [(Role.MEMBER, False), (Role.ADMIN, True)])
def test_the_last_admin_stays_one(database, admin, member, role, disabled):
    with pytest.raises(Conflict, match="last admin"):
        people.change_account(database, admin, role=role, team="", disabled=disabled)
    people.change_account(database, member, role=Role.ADMIN, team="", disabled=False)
    people.change_account(database, admin, role=role, team="", disabled=disabled)


def test_a_token_signs_in_as_its_account_until_it_is_revoked(database, member):
    token, secret = tokens.create_token(database, member, " nightly export ")
    assert re.fullmatch(r"yeban_[a-z2-7]{10}_[A-Za-z0-9_-]{43}", secret)
    assert secret.startswith(token.prefix)
    assert tokens.account_of(database, secret) == member
    [listed] = tokens.list_tokens(database, member)
    assert (listed.name, listed.used_at is not None) == ("nightly export", True)
    tokens.revoke_token(database, member, token.id)
    assert tokens.account_of(database, secret) is None
    assert tokens.list_tokens(database, member) == []


def test_what_is_nearly_a_token_is_none(database, member):
    _, secret = tokens.create_token(database, member, "export")
    other = secret[:-1] + ("A" if secret[-1] != "A" else "B")
    for wrong in (other, secret[:-1], secret.upper(), f"{secret} ", "", "yeban_", secret.replace("_", "-")):
        assert tokens.account_of(database, wrong) is None


def test_a_token_expires(database, member):
    _, secret = tokens.create_token(database, member, "export", expires_at=datetime.now(UTC) + timedelta(hours=1))
    assert tokens.account_of(database, secret) == member
    with database.begin() as connection:
        connection.execute(text("UPDATE api_token SET expires_at = now() - interval '1 second'"))
    assert tokens.account_of(database, secret) is None
    with pytest.raises(InvalidRequest, match="in the future"):
        tokens.create_token(database, member, "export", expires_at=datetime.now(UTC) - timedelta(hours=1))


def test_nobody_revokes_the_token_of_another(database, admin, member):
    token, secret = tokens.create_token(database, member, "export")
    with pytest.raises(NotFound):
        tokens.revoke_token(database, admin, token.id)
    assert tokens.account_of(database, secret) == member


def test_an_account_has_a_bounded_number_of_tokens(database, member, monkeypatch):
    monkeypatch.setattr(tokens, "MAX_TOKENS", 2)
    first, _ = tokens.create_token(database, member, "one")
    tokens.create_token(database, member, "two")
    with pytest.raises(Conflict, match="at most 2"):
        tokens.create_token(database, member, "three")
    tokens.revoke_token(database, member, first.id)
    tokens.create_token(database, member, "three")
    with database.begin() as connection:
        connection.execute(text("UPDATE api_token SET expires_at = now() WHERE name = 'two'"))
    tokens.create_token(database, member, "four")
