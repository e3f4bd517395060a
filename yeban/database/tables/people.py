"""Accounts, their API tokens, and ended sessions."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    func,
)
from sqlalchemy.orm import Mapped, mapped_column

from yeban.database.tables.base import Base


class Account(Base):
    """A person who may sign in. Accounts are disabled but never removed: names are not reused."""

    __tablename__ = "account"
    __table_args__ = (CheckConstraint("role IN ('member', 'admin')", name="role_known"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]  # argon2id, with its parameters
    role: Mapped[str]
    team: Mapped[str] = mapped_column(server_default="")  # members of a team see each other's jobs; "" for none
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    disabled_at: Mapped[datetime | None]
    sessions_from: Mapped[datetime] = mapped_column(server_default=func.now())  # earlier sessions are invalid


class EndedSession(Base):
    """A session that was signed out; its cookie, still validly signed, is rejected."""

    __tablename__ = "ended_session"

    id: Mapped[str] = mapped_column(primary_key=True)
    ended_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ApiToken(Base):
    """An API token of an account, stored as a hash."""

    __tablename__ = "api_token"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    prefix: Mapped[str] = mapped_column(unique=True)  # public part, to look it up by
    sha256: Mapped[str]  # of the whole token; with 256 random bits it needs no slow hash
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
