"""People who may sign in, and tokens of theirs."""

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
    """A person who may sign in. Accounts are disabled, never removed: a name always means the same person."""

    __tablename__ = "account"
    __table_args__ = (CheckConstraint("role IN ('member', 'admin')", name="role_known"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]  # argon2id, with its parameters
    role: Mapped[str]
    team: Mapped[str] = mapped_column(server_default="")  # whose members see each other's jobs; "" for none
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    disabled_at: Mapped[datetime | None]
    sessions_from: Mapped[datetime] = mapped_column(server_default=func.now())  # older sessions are no longer valid


class EndedSession(Base):
    """A session that was signed out of: its cookie is still signed, and must not be taken again."""

    __tablename__ = "ended_session"

    id: Mapped[str] = mapped_column(primary_key=True)
    ended_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ApiToken(Base):
    """What a program signs in with, as its account. The token itself is shown once and not kept."""

    __tablename__ = "api_token"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    prefix: Mapped[str] = mapped_column(unique=True)  # its public part, by which it is found and recognised
    sha256: Mapped[str]  # of the whole token, which has 256 random bits: nothing slower is needed
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
