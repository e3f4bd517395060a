"""``yeban account``, on a database that is configured."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from yeban.accounts import people, tokens
from yeban.accounts.people import Role
from yeban.cli import main
from yeban.cli.exit_codes import Exit
from yeban.database.engine import Database
from yeban.settings import get_settings

PASSWORD = "correct horse battery"


@pytest.fixture
def run(database_url, redis_url, monkeypatch, tmp_path):
    monkeypatch.setenv("YEBAN_DATABASE_URL", database_url)
    monkeypatch.setenv("YEBAN_REDIS_URL", redis_url)
    monkeypatch.setenv("YEBAN_DATA_DIR", str(tmp_path))
    get_settings.cache_clear()
    yield lambda *arguments, given=f"{PASSWORD}\n": CliRunner().invoke(main, ["account", *arguments], input=given)
    get_settings.cache_clear()


@pytest.fixture
def database(database_url):
    opened = Database(database_url, pool_size=1)
    yield opened
    opened.close()


def test_accounts_are_made_changed_and_listed(run, database):
    assert run("add", "boss", "--admin", "--password-stdin").exit_code == Exit.OK
    assert run("add", "小王", "--team", "售后").exit_code == Exit.OK
    assert people.sign_in(database, "小王", PASSWORD).team == "售后"
    assert people.sign_in(database, "boss", PASSWORD).role is Role.ADMIN
    assert run("change", "小王", "--admin").exit_code == Exit.OK
    changed = people.get_account(database, "小王")
    assert (changed.role, changed.team) == (Role.ADMIN, "售后")
    assert run("change", "小王", "--disable").exit_code == Exit.OK
    listed = run("list").output
    assert "disabled" in listed
    assert "小王" in listed
    assert run("password", "boss", given="quite another one\n").exit_code == Exit.OK
    assert people.sign_in(database, "boss", "quite another one")


def test_a_token_alone_is_written_to_standard_output(run, database):
    run("add", "小王")
    ended = run("token", "小王", "--for", "export", "--days", "2")
    assert tokens.account_of(database, ended.stdout.strip()).name == "小王"


def test_another_password_revokes_tokens_only_where_that_is_asked_for(run, database):
    run("add", "小王")
    token = run("token", "小王", "--for", "export").stdout.strip()
    run("password", "小王", given="quite another one\n")
    assert tokens.account_of(database, token) is not None
    assert run("password", "小王", "--revoke-tokens").exit_code == Exit.OK
    assert tokens.account_of(database, token) is None


@pytest.mark.parametrize(
    ("arguments", "given", "status", "said"),
    [
        (("add", "-x"), PASSWORD, Exit.USAGE, "No such option"),
        (("add", "a/b"), PASSWORD, Exit.USAGE, "name must have"),
        (("add", "wang"), "short", Exit.USAGE, "password must have"),
        (("add", "boss"), PASSWORD, Exit.REFUSED, "already"),
        (("password", "nobody"), PASSWORD, Exit.REFUSED, "no account"),
        (("change", "boss", "--member"), "", Exit.REFUSED, "last admin"),
        (("token", "nobody", "--for", "x"), "", Exit.REFUSED, "no account"),
    ],
)
def test_what_cannot_be_done_is_told(run, arguments, given, status, said):
    run("add", "boss", "--admin")
    ended = run(*arguments, given=f"{given}\n")
    assert ended.exit_code == status
    assert said in ended.output
    assert PASSWORD not in ended.output
