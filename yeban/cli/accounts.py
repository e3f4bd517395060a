"""``yeban account``: user accounts and their tokens."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from rich.table import Table

from yeban.accounts import people, tokens
from yeban.accounts.people import Role
from yeban.cli.database import database_url
from yeban.database.engine import Database
from yeban.database.migrations import migrate
from yeban.runtime.terminal import console
from yeban.settings import get_settings

_FROM_STDIN = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")


def _role_and_team(*, new: bool) -> Callable[[Any], Any]:
    """Add the options of role and team. Only ``new`` accounts have defaults."""

    def add(command: Any) -> Any:
        command = click.option(
            "--admin/--member",
            default=False if new else None,
            help="Admins see everything and manage accounts.",
        )(command)
        return click.option(
            "--team", default="" if new else None, help="Team whose members see each other's jobs; empty for none."
        )(command)

    return add


@click.group()
def account() -> None:
    """Manage user accounts.

    Accounts apply where YEBAN_ACCOUNTS is true."""


@account.command()
@click.argument("name")
@_role_and_team(new=True)
@_FROM_STDIN
def add(name: str, admin: bool, team: str, password_stdin: bool) -> None:
    """Create an account, and prompt for its password."""
    password = _password(password_stdin)
    with _database() as database:
        made = people.create_account(database, name, password, role=Role.ADMIN if admin else Role.MEMBER, team=team)
    click.echo(f"Made the account {made.name} ({made.role}).")


@account.command("list")
def list_() -> None:
    """List the accounts."""
    with _database() as database:
        found = people.list_accounts(database)
    table = Table("name", "role", "team", "made", "state")
    for person in found:
        state = "active" if person.disabled_at is None else "disabled"
        table.add_row(person.name, person.role, person.team, f"{person.created_at:%Y-%m-%d}", state)
    console().print(table)


@account.command()
@click.argument("name")
@_FROM_STDIN
@click.option("--revoke-tokens", is_flag=True, help="Also revoke all its tokens.")
def password(name: str, password_stdin: bool, revoke_tokens: bool) -> None:
    """Change the password of an account and end its sessions."""
    given = _password(password_stdin)
    with _database() as database:
        people.change_password(database, people.get_account(database, name), given, revoke_tokens=revoke_tokens)
    click.echo("Changed.")


@account.command()
@click.argument("name")
@_role_and_team(new=False)
@click.option("--disable/--enable", default=None, help="Disabled accounts cannot sign in or use tokens.")
def change(name: str, admin: bool | None, team: str | None, disable: bool | None) -> None:
    """Change the role, the team or the state of an account."""
    with _database() as database:
        found = people.get_account(database, name)
        role = found.role if admin is None else Role.ADMIN if admin else Role.MEMBER
        disabled = found.disabled_at is not None if disable is None else disable
        people.change_account(database, found, role=role, team=found.team if team is None else team, disabled=disabled)
    click.echo("Changed.")


@account.command()
@click.argument("name")
@click.option("--for", "purpose", required=True, help="Purpose of the token, as shown in lists.")
@click.option("--days", type=click.IntRange(1, 3_650), help="Days until the token expires; by default it does not.")
def token(name: str, purpose: str, days: int | None) -> None:
    """Create an API token, and print it once on standard output."""
    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    with _database() as database:
        found = people.get_account(database, name)
        _, secret = tokens.create_token(database, found, purpose, expires_at=expires_at)
    click.echo(secret)


@contextmanager
def _database() -> Iterator[Database]:
    with database_url(get_settings()) as url:
        migrate(url)  # the first account may precede the first start
        database = Database(url, pool_size=1)
        try:
            yield database
        finally:
            database.close()


def _password(from_stdin: bool) -> str:
    if from_stdin or not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    given: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return given
