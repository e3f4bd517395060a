"""Accounts of people: create, find, change and disable them."""

from __future__ import annotations

import logging
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from yeban.accounts import passwords
from yeban.accounts.viewer import Viewer
from yeban.database import tables
from yeban.database.engine import Database, lock_name
from yeban.errors import Conflict, InvalidRequest, Message, NotFound, msg

log = logging.getLogger(__name__)

_MAX_NAME_CHARS = 64
# Letters of any script, digits, single blanks, and punctuation of e-mail addresses.
_NAME = re.compile(r"[^\W_](?:[\w.@+-]| (?! ))*", re.UNICODE)
#: How long an ended session is remembered; its cookie expires within hours.
_ENDED_SESSION_AGE = timedelta(days=2)


class Role(StrEnum):
    """The permissions of a person."""

    MEMBER = "member"  # sees their own and their team's data
    ADMIN = "admin"  # sees everything and manages accounts


@dataclass(frozen=True, kw_only=True)
class Account:
    """A person who can sign in unless ``disabled_at`` is set."""

    id: int
    name: str
    role: Role
    team: str  # members of a team see each other's jobs; "" for none
    created_at: datetime
    disabled_at: datetime | None
    sessions_from: datetime  # earlier sessions are invalid

    @property
    def viewer(self) -> Viewer:
        """The viewer this account acts as."""
        return Viewer(name=self.name, team=self.team, sees_all=self.role is Role.ADMIN)


def create_account(database: Database, name: str, password: str, *, role: Role, team: str = "") -> Account:
    """Create an account.

    Raises ``InvalidRequest`` for an invalid name, team or password, and ``Conflict`` if the name is taken.
    """
    name, team = _checked(name, msg("name")), _checked_team(team)
    passwords.check_password(password, name=name)
    password_hash = passwords.hash_password(password)
    try:
        with database.begin() as connection:
            row = connection.execute(
                insert(tables.Account)
                .values(name=name, password_hash=password_hash, role=role, team=team)
                .returning(tables.Account)
            ).one()
    except IntegrityError as error:
        raise Conflict(msg("The account “%(name)s” already exists.", name=name)) from error
    log.info("account created", extra={"account": row.id, "role": role.value})
    return account_of_row(row)


def sign_in(database: Database, name: str, password: str) -> Account | None:
    """Return the account with this name and password.

    Returns ``None`` if they do not match, or if the account is disabled.
    """
    with database.begin() as connection:
        row = connection.execute(
            select(tables.Account).where(tables.Account.name == normal_name(name)[:_MAX_NAME_CHARS])
        ).one_or_none()
    # Hash even without an account: the response time must not reveal which names exist.
    correct = passwords.matches(None if row is None else row.password_hash, password)
    if row is None or not correct or row.disabled_at is not None:
        return None
    if passwords.is_outdated(row.password_hash):
        _update(database, row.id, password_hash=passwords.hash_password(password))
    return account_of_row(row)


def account_of_session(database: Database, account_id: int, session_id: str) -> Account | None:
    """Return the account of a session; ``None`` if disabled or signed out."""
    with database.begin() as connection:
        row = connection.execute(
            select(tables.Account).where(
                tables.Account.id == account_id,
                tables.Account.disabled_at.is_(None),
                ~exists().where(tables.EndedSession.id == session_id),
            )
        ).one_or_none()
    return None if row is None else account_of_row(row)


def end_session(database: Database, session_id: str) -> None:
    """Reject this session from now on, even from a kept copy of its cookie."""
    with database.begin() as connection:
        connection.execute(insert(tables.EndedSession).values(id=session_id).on_conflict_do_nothing())


def forget_ended_sessions(database: Database) -> int:
    """Delete ended sessions whose cookies have expired. Returns the number deleted."""
    with database.begin() as connection:
        return connection.execute(
            delete(tables.EndedSession).where(tables.EndedSession.ended_at < func.now() - _ENDED_SESSION_AGE)
        ).rowcount


def get_account(database: Database, name: str) -> Account:
    """Return the account with this name. Raises ``NotFound``."""
    with database.begin() as connection:
        row = connection.execute(select(tables.Account).where(tables.Account.name == normal_name(name))).one_or_none()
    if row is None:
        raise NotFound(msg("There is no account “%(name)s”.", name=name[:_MAX_NAME_CHARS]))
    return account_of_row(row)


def list_accounts(database: Database) -> list[Account]:
    """All accounts, ordered by name."""
    with database.begin() as connection:
        return [account_of_row(row) for row in connection.execute(select(tables.Account).order_by(tables.Account.name))]


def is_empty(database: Database) -> bool:
    """Report whether no account exists."""
    with database.begin() as connection:
        return connection.scalar(select(tables.Account.id).limit(1)) is None


def change_password(database: Database, account: Account, password: str, *, revoke_tokens: bool = False) -> None:
    """Set a new password and end all sessions; revoke the account's tokens on request. Raises ``InvalidRequest``."""
    passwords.check_password(password, name=account.name)
    password_hash = passwords.hash_password(password)
    with database.begin() as connection:
        connection.execute(
            update(tables.Account)
            .where(tables.Account.id == account.id)
            .values(password_hash=password_hash, sessions_from=func.clock_timestamp())
        )
        if revoke_tokens:
            connection.execute(
                update(tables.ApiToken)
                .where(tables.ApiToken.account_id == account.id, tables.ApiToken.revoked_at.is_(None))
                .values(revoked_at=func.now())
            )
    log.info("password changed", extra={"account": account.id})


def end_sessions(database: Database, account: Account) -> None:
    """Sign an account out everywhere."""
    _update(database, account.id, sessions_from=func.clock_timestamp())


def change_account(database: Database, account: Account, *, role: Role, team: str, disabled: bool) -> Account:
    """Change an account's permissions; existing jobs keep their team.

    A disabled account can do nothing, nor can its tokens. Raises ``InvalidRequest``, and ``Conflict`` if no admin
    would remain.
    """
    team = _checked_team(team)
    values: dict[str, Any] = {"role": role, "team": team, "disabled_at": None}
    if disabled:
        values |= {
            "disabled_at": func.coalesce(tables.Account.disabled_at, func.now()),
            "sessions_from": func.clock_timestamp(),
        }
    with database.begin() as connection:
        lock_name(connection, "admins")  # or two concurrent changes could each remove the other's last admin
        row = connection.execute(
            update(tables.Account).where(tables.Account.id == account.id).values(values).returning(tables.Account)
        ).one()
        _check_an_admin_is_left(connection)
    log.info("account changed", extra={"account": account.id, "role": role.value, "disabled": disabled})
    return account_of_row(row)


def _update(database: Database, account_id: int, **values: Any) -> None:
    with database.begin() as connection:
        connection.execute(update(tables.Account).where(tables.Account.id == account_id).values(values))


def _check_an_admin_is_left(connection: Connection) -> None:
    admins = exists().where(tables.Account.role == Role.ADMIN, tables.Account.disabled_at.is_(None))
    if not connection.scalar(select(admins)):
        raise Conflict(msg("This is the last admin. Make another account an admin first."))


def account_of_row(row: Row[*tuple[Any, ...]]) -> Account:
    """Build an account from a row of its table."""
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
    """Normalise a name for storage: NFKC, lower case, without the NUL that PostgreSQL cannot store."""
    return unicodedata.normalize("NFKC", name).replace("\x00", "").strip().lower()


def _checked(name: str, field: Message) -> str:
    normal = normal_name(name)
    if len(normal) > _MAX_NAME_CHARS or not _NAME.fullmatch(normal):
        raise InvalidRequest(
            msg(
                "The %(field)s must have 1 to %(max_name_chars)s letters, digits or . _ - + @, and start "
                "with a letter or digit.",
                field=field,
                max_name_chars=_MAX_NAME_CHARS,
            ),
            field=str(field),
        )
    return normal


def _checked_team(team: str) -> str:
    return _checked(team, msg("team")) if team.strip() else ""
