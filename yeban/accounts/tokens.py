"""API tokens: programs sign in as the account that created them."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, insert, or_, select, update

from yeban.accounts.people import Account, account_of_row
from yeban.database.engine import Database
from yeban.database.tables import Account as AccountTable
from yeban.database.tables import ApiToken
from yeban.errors import Conflict, InvalidRequest, NotFound, msg

log = logging.getLogger(__name__)

#: Prefix of every token, so that people and secret scanners recognise it.
PREFIX = "yeban_"
MAX_TOKENS = 50

_MAX_NAME_CHARS = 100
# yeban_<10 characters to look it up by>_<256 random bits>
_TOKEN = re.compile(rf"{PREFIX}([a-z2-7]{{10}})_([A-Za-z0-9_-]{{43}})")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
# Finer would cost a write per request, and a program may send a hundred a second.
_USED_AT_RESOLUTION = timedelta(minutes=1)

_UNEXPIRED = or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > func.now())


@dataclass(frozen=True, kw_only=True)
class Token:
    """A stored token without its secret. ``prefix`` is its public beginning."""

    id: int
    name: str
    prefix: str
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None  # to the minute
    revoked_at: datetime | None


def create_token(
    database: Database, account: Account, name: str, *, expires_at: datetime | None = None
) -> tuple[Token, str]:
    """Create a token of ``account``. Returns it with its secret, which is not stored.

    Raises ``InvalidRequest``, and ``Conflict`` for an account with :data:`MAX_TOKENS` valid tokens.
    """
    name = name.strip()
    if not 1 <= len(name) <= _MAX_NAME_CHARS or "\x00" in name:
        raise InvalidRequest(
            msg("Enter a name of at most %(max_name_chars)s characters for the token.", max_name_chars=_MAX_NAME_CHARS),
            field="name",
        )
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise InvalidRequest(msg("The expiry time must be in the future."), field="expires_at")
    prefix = "".join(secrets.choice(_ALPHABET) for _ in range(10))
    secret = f"{PREFIX}{prefix}_{secrets.token_urlsafe(32)}"
    with database.begin() as connection:
        connection.execute(select(AccountTable.id).where(AccountTable.id == account.id).with_for_update())
        valid = connection.scalar(
            select(func.count()).where(ApiToken.account_id == account.id, ApiToken.revoked_at.is_(None), _UNEXPIRED)
        )
        if valid is not None and valid >= MAX_TOKENS:
            raise Conflict(
                msg("An account can have at most %(max_tokens)s tokens. Revoke one first.", max_tokens=MAX_TOKENS),
                limit=MAX_TOKENS,
            )
        row = connection.execute(
            insert(ApiToken)
            .values(account_id=account.id, name=name, prefix=prefix, sha256=_digest(secret), expires_at=expires_at)
            .returning(ApiToken)
        ).one()
    log.info("token created", extra={"account": account.id, "token": row.id})
    return _token(row), secret


def account_of(database: Database, secret: str) -> Account | None:
    """Return the account of a valid token.

    Returns ``None`` if the token is invalid, expired or revoked, or its account is disabled.
    """
    shape = _TOKEN.fullmatch(secret)
    if shape is None:
        return None
    stale = or_(ApiToken.used_at.is_(None), ApiToken.used_at < func.now() - _USED_AT_RESOLUTION)
    with database.begin() as connection:
        row = connection.execute(
            select(AccountTable, ApiToken.id.label("token_id"), ApiToken.sha256, stale.label("stale"))
            .join(ApiToken, ApiToken.account_id == AccountTable.id)
            .where(
                ApiToken.prefix == shape[1],
                ApiToken.revoked_at.is_(None),
                AccountTable.disabled_at.is_(None),
                _UNEXPIRED,
            )
        ).one_or_none()
        if row is None or not hmac.compare_digest(row.sha256, _digest(secret)):
            return None
        if row.stale:
            connection.execute(update(ApiToken).where(ApiToken.id == row.token_id).values(used_at=func.now()))
    return account_of_row(row)


def list_tokens(database: Database, account: Account) -> list[Token]:
    """The unrevoked tokens of an account, newest first."""
    with database.begin() as connection:
        rows = connection.execute(
            select(ApiToken)
            .where(ApiToken.account_id == account.id, ApiToken.revoked_at.is_(None))
            .order_by(ApiToken.id.desc())
        )
        return [_token(row) for row in rows]


def revoke_token(database: Database, account: Account, token_id: int) -> None:
    """Invalidate a token of ``account`` at once. Raises ``NotFound``."""
    with database.begin() as connection:
        revoked = connection.execute(
            update(ApiToken)
            .where(ApiToken.id == token_id, ApiToken.account_id == account.id)
            .values(revoked_at=func.coalesce(ApiToken.revoked_at, func.now()))
        ).rowcount
    if not revoked:
        raise NotFound(msg("This token does not exist."))
    log.info("token revoked", extra={"account": account.id, "token": token_id})


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _token(row: Row[Any]) -> Token:
    return Token(
        id=row.id,
        name=row.name,
        prefix=f"{PREFIX}{row.prefix}",
        created_at=row.created_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
        revoked_at=row.revoked_at,
    )
