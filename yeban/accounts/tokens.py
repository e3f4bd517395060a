"""Tokens, with which programs sign in as the account that made them."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, text

from yeban.accounts.people import Account, account_of_row
from yeban.database.engine import Database
from yeban.errors import Conflict, InvalidRequest, NotFound

log = logging.getLogger(__name__)

#: How a token begins, so that people and scanners for leaked secrets recognise it.
PREFIX = "yeban_"
MAX_TOKENS = 50

_MAX_NAME_CHARS = 100
# yeban_<10 characters by which it is found>_<256 random bits>
_TOKEN = re.compile(rf"{PREFIX}([a-z2-7]{{10}})_([A-Za-z0-9_-]{{43}})")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(frozen=True, kw_only=True)
class Token:
    """What is known of a token once it has been shown. ``prefix`` is its beginning, as lists show it."""

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
    """A new token of ``account``, and the secret itself, which cannot be had again.

    Raises ``InvalidRequest``, and ``Conflict`` for an account that has :data:`MAX_TOKENS` already.
    """
    name = name.strip()
    if not 1 <= len(name) <= _MAX_NAME_CHARS or "\x00" in name:
        raise InvalidRequest(f"Name the token, in at most {_MAX_NAME_CHARS} characters.", field="name")
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise InvalidRequest("The token would have expired already.", field="expires_at")
    found_by = "".join(secrets.choice(_ALPHABET) for _ in range(10))
    secret = f"{PREFIX}{found_by}_{secrets.token_urlsafe(32)}"
    with database.begin() as connection:
        connection.execute(text("SELECT FROM account WHERE id = :id FOR UPDATE"), {"id": account.id})
        valid = connection.scalar(
            text(
                "SELECT count(*) FROM api_token WHERE account_id = :id AND revoked_at IS NULL"
                " AND (expires_at IS NULL OR expires_at > now())"
            ),
            {"id": account.id},
        )
        if valid is not None and valid >= MAX_TOKENS:
            raise Conflict(f"An account has at most {MAX_TOKENS} tokens; revoke one first.", limit=MAX_TOKENS)
        row = connection.execute(
            text(
                "INSERT INTO api_token (account_id, name, prefix, sha256, expires_at)"
                " VALUES (:account, :name, :prefix, :sha256, :expires_at) RETURNING *"
            ),
            {
                "account": account.id,
                "name": name,
                "prefix": found_by,
                "sha256": _digest(secret),
                "expires_at": expires_at,
            },
        ).one()
    log.info("token created", extra={"account": account.id, "token": row.id})
    return _token(row), secret


def account_of(database: Database, secret: str) -> Account | None:
    """Whose token this is; ``None`` for what is none, is revoked or expired, or whose account is disabled."""
    shape = _TOKEN.fullmatch(secret)
    if shape is None:
        return None
    with database.begin() as connection:
        row = connection.execute(
            text(
                "SELECT account.*, api_token.id AS token_id, sha256,"
                " used_at IS NULL OR used_at < now() - interval '1 minute' AS stale"
                " FROM api_token JOIN account ON account.id = account_id"
                " WHERE prefix = :prefix AND revoked_at IS NULL AND disabled_at IS NULL"
                " AND (expires_at IS NULL OR expires_at > now())"
            ),
            {"prefix": shape[1]},
        ).one_or_none()
        if row is None or not hmac.compare_digest(row.sha256, _digest(secret)):
            return None
        if row.stale:  # not at each request: a program may ask a hundred times a second
            connection.execute(text("UPDATE api_token SET used_at = now() WHERE id = :id"), {"id": row.token_id})
    return account_of_row(row)


def list_tokens(database: Database, account: Account) -> list[Token]:
    """The tokens of an account that are not revoked, the newest first."""
    with database.begin() as connection:
        rows = connection.execute(
            text("SELECT * FROM api_token WHERE account_id = :id AND revoked_at IS NULL ORDER BY id DESC"),
            {"id": account.id},
        )
        return [_token(row) for row in rows]


def revoke_token(database: Database, account: Account, token_id: int) -> None:
    """Make a token of ``account`` invalid at once. Raises ``NotFound``."""
    with database.begin() as connection:
        revoked = connection.execute(
            text(
                "UPDATE api_token SET revoked_at = coalesce(revoked_at, now()) WHERE id = :id AND account_id = :account"
            ),
            {"id": token_id, "account": account.id},
        ).rowcount
    if not revoked:
        raise NotFound("There is no such token.")
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
