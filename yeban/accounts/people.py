"""Accounts of people: making, finding, changing and disabling them."""

from __future__ import annotations

import logging
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import IntegrityError

from yeban.accounts import passwords
from yeban.accounts.viewer import Viewer
from yeban.database.engine import Database
from yeban.errors import Conflict, InvalidRequest, NotFound, phrase

log = logging.getLogger(__name__)

_MAX_NAME_CHARS = 64
# One line of letters of any script, digits and what stands in names of mail boxes.
_NAME = re.compile(r"[^\W_](?:[\w.@+-]| (?! ))*", re.UNICODE)
# Whoever changes who is an admin waits for whoever else does.
_LOCK = 0x59454242


class Role(StrEnum):
    """What a person may do."""

    MEMBER = "member"  # sees what is theirs and their team's
    ADMIN = "admin"  # sees everything, and looks after the accounts


@dataclass(frozen=True, kw_only=True)
class Account:
    """A person who may sign in, or might, while ``disabled_at`` is set."""

    id: int
    name: str
    role: Role
    team: str  # whose members see each other's jobs; "" for none
    created_at: datetime
    disabled_at: datetime | None
    sessions_from: datetime  # sessions that began before are no longer valid

    @property
    def viewer(self) -> Viewer:
        """What of the stored is theirs."""
        return Viewer(name=self.name, team=self.team, sees_all=self.role is Role.ADMIN)


def create_account(database: Database, name: str, password: str, *, role: Role, team: str = "") -> Account:
    """Make an account. Raises ``InvalidRequest`` for a name, team or password that is none, ``Conflict`` for a name
    that is taken.
    """
    name, team = _checked(name, phrase("name")), _checked_team(team)
    passwords.check_password(password, name=name)
    kept = passwords.hash_password(password)
    try:
        with database.begin() as connection:
            row = connection.execute(
                text(
                    "INSERT INTO account (name, password_hash, role, team) VALUES (:name, :kept, :role, :team)"
                    " RETURNING *"
                ),
                {"name": name, "kept": kept, "role": role.value, "team": team},
            ).one()
    except IntegrityError as error:
        raise Conflict(f"There is an account “{name}” already.") from error
    log.info("account created", extra={"account": row.id, "role": role.value})
    return account_of_row(row)


def sign_in(database: Database, name: str, password: str) -> Account | None:
    """The account with this name and password, unless it is disabled; ``None`` says no more than that it is not so."""
    with database.begin() as connection:
        row = connection.execute(
            text("SELECT * FROM account WHERE name = :name"), {"name": normal_name(name)[:_MAX_NAME_CHARS]}
        ).one_or_none()
    # Asked in any case: how long it takes must not tell which names there are.
    right = passwords.matches(None if row is None else row.password_hash, password)
    if row is None or not right or row.disabled_at is not None:
        return None
    if passwords.is_outdated(row.password_hash):
        with database.begin() as connection:
            connection.execute(
                text("UPDATE account SET password_hash = :kept WHERE id = :id"),
                {"id": row.id, "kept": passwords.hash_password(password)},
            )
    return account_of_row(row)


def account_of_session(database: Database, account_id: int, session_id: str) -> Account | None:
    """The account with this number, unless it is disabled or the session was ended."""
    with database.begin() as connection:
        row = connection.execute(
            text(
                "SELECT * FROM account WHERE id = :id AND disabled_at IS NULL"
                " AND NOT EXISTS (SELECT FROM ended_session WHERE ended_session.id = :session)"
            ),
            {"id": account_id, "session": session_id},
        ).one_or_none()
    return None if row is None else account_of_row(row)


def end_session(database: Database, session_id: str) -> None:
    """Take this session for ended from now on, whoever has kept its cookie."""
    with database.begin() as connection:
        connection.execute(
            text("INSERT INTO ended_session (id) VALUES (:id) ON CONFLICT DO NOTHING"), {"id": session_id}
        )


def forget_ended_sessions(database: Database) -> int:
    """Forget those whose cookies have expired meanwhile: they live for hours. Returns how many."""
    with database.begin() as connection:
        return connection.execute(text("DELETE FROM ended_session WHERE ended_at < now() - interval '2 days'")).rowcount


def get_account(database: Database, name: str) -> Account:
    """The account with this name. Raises ``NotFound``."""
    with database.begin() as connection:
        row = connection.execute(
            text("SELECT * FROM account WHERE name = :name"), {"name": normal_name(name)}
        ).one_or_none()
    if row is None:
        raise NotFound(f"There is no account “{name[:_MAX_NAME_CHARS]}”.")
    return account_of_row(row)


def list_accounts(database: Database) -> list[Account]:
    """All accounts, by name."""
    with database.begin() as connection:
        return [account_of_row(row) for row in connection.execute(text("SELECT * FROM account ORDER BY name"))]


def is_empty(database: Database) -> bool:
    """Whether nobody has an account."""
    with database.begin() as connection:
        return not connection.scalar(text("SELECT EXISTS (SELECT FROM account)"))


def change_password(database: Database, account: Account, password: str, *, revoke_tokens: bool = False) -> None:
    """Give an account another password and end its sessions, and its tokens if so wanted. Raises ``InvalidRequest``."""
    passwords.check_password(password, name=account.name)
    kept = passwords.hash_password(password)
    with database.begin() as connection:
        connection.execute(
            text("UPDATE account SET password_hash = :kept, sessions_from = clock_timestamp() WHERE id = :id"),
            {"id": account.id, "kept": kept},
        )
        if revoke_tokens:
            connection.execute(
                text("UPDATE api_token SET revoked_at = now() WHERE account_id = :id AND revoked_at IS NULL"),
                {"id": account.id},
            )
    log.info("password changed", extra={"account": account.id})


def end_sessions(database: Database, account: Account) -> None:
    """Sign an account out wherever it is signed in."""
    with database.begin() as connection:
        connection.execute(
            text("UPDATE account SET sessions_from = clock_timestamp() WHERE id = :id"), {"id": account.id}
        )


def change_account(database: Database, account: Account, *, role: Role, team: str, disabled: bool) -> Account:
    """Change what an account may do; jobs stay with the team they were made in.

    A disabled account can do nothing, its tokens included. Raises ``InvalidRequest``, and ``Conflict`` where no admin
    would be left.
    """
    team = _checked_team(team)
    with database.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        row = connection.execute(
            text(
                "UPDATE account SET role = :role, team = :team, disabled_at = CASE WHEN NOT :disabled THEN NULL"
                " ELSE coalesce(disabled_at, now()) END, sessions_from = CASE WHEN :disabled THEN clock_timestamp()"
                " ELSE sessions_from END WHERE id = :id RETURNING *"
            ),
            {"id": account.id, "role": role.value, "team": team, "disabled": disabled},
        ).one()
        _check_an_admin_is_left(connection)
    log.info("account changed", extra={"account": account.id, "role": role.value, "disabled": disabled})
    return account_of_row(row)


def _check_an_admin_is_left(connection: Connection) -> None:
    if not connection.scalar(text("SELECT EXISTS (SELECT FROM account WHERE role = 'admin' AND disabled_at IS NULL)")):
        raise Conflict("This is the last admin; make somebody else one first.")


def account_of_row(row: Row[Any]) -> Account:
    """An account from a row of its table."""
    return Account(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        team=row.team,
        created_at=row.created_at,
        disabled_at=row.disabled_at,
        sessions_from=row.sessions_from,
    )


def normal_name(name: str) -> str:
    """A name as it is stored: capitals and full-width letters are as others. PostgreSQL stores no NUL character."""
    return unicodedata.normalize("NFKC", name).replace("\x00", "").strip().lower()


def _checked(name: str, field: str) -> str:
    normal = normal_name(name)
    if len(normal) > _MAX_NAME_CHARS or not _NAME.fullmatch(normal):
        raise InvalidRequest(
            f"A {field} has 1 to {_MAX_NAME_CHARS} letters, digits and . _ - + @, and begins with a letter or digit.",
            field=field,
        )
    return normal


def _checked_team(team: str) -> str:
    return _checked(team, phrase("team")) if team.strip() else ""
