"""Passwords: rules, and hashes by argon2id with the second recommended parameters of RFC 9106."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from yeban.errors import InvalidRequest, Overloaded, msg

LEAST_CHARS = 10
MOST_CHARS = 200

# Shorter names occur in many good passwords by chance.
_NAME_CHARS = 4

_hasher = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
# A hash takes 64 MiB and a tenth of a second; guessing passwords must not exhaust the memory.
_HASHING = threading.BoundedSemaphore(2)
_MAX_WAIT_S = 5.0


def check_password(password: str, *, name: str) -> None:
    """Raise :class:`~yeban.errors.InvalidRequest` for a weak password."""
    if not LEAST_CHARS <= len(password) <= MOST_CHARS:
        raise InvalidRequest(
            msg(
                "The password must have %(least_chars)s to %(most_chars)s characters.",
                least_chars=LEAST_CHARS,
                most_chars=MOST_CHARS,
            ),
            field="password",
        )
    has_name = len(name) >= _NAME_CHARS and name.lower() in password.lower()
    if len(set(password)) < LEAST_CHARS // 2 or has_name:
        raise InvalidRequest(
            msg("The password is too easy to guess. Use more different characters, and do not use the account name."),
            field="password",
        )


def hash_password(password: str) -> str:
    """Hash a password for storage."""
    with _turn():
        return _hasher.hash(password)


def matches(password_hash: str | None, password: str) -> bool:
    """Check ``password`` against a stored hash, in the same time without one (``None``).

    Raises :class:`~yeban.errors.Overloaded` when too many passwords are being checked.
    """
    with _turn():
        try:
            return _hasher.verify(password_hash or _dummy_hash(), password[:MOST_CHARS]) and password_hash is not None
        except (VerificationError, InvalidHashError):
            return False


def is_outdated(password_hash: str) -> bool:
    """Report whether a stored hash has weaker parameters than a new one."""
    return _hasher.check_needs_rehash(password_hash)


@lru_cache(maxsize=1)
def _dummy_hash() -> str:
    return _hasher.hash("no account has this password")


@contextmanager
def _turn() -> Iterator[None]:
    if not _HASHING.acquire(timeout=_MAX_WAIT_S):
        raise Overloaded(
            msg("Too many people are signing in at once. Try again in a moment."), retry_after_s=_MAX_WAIT_S
        )
    try:
        yield
    finally:
        _HASHING.release()
