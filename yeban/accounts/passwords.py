"""Passwords: what may be one, and how it is kept (argon2id, with the parameters of RFC 9106's second choice)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from yeban.errors import InvalidRequest, Overloaded

LEAST_CHARS = 10
MOST_CHARS = 200

#: A shorter name is a part of nearly every password.
_NAME_CHARS = 4

_hasher = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
# Each takes 64 MiB and a tenth of a second; whoever tries passwords must not get all the memory.
_HASHING = threading.BoundedSemaphore(2)
_PATIENCE_S = 5.0


def check_password(password: str, *, name: str) -> None:
    """Refuse a password that is too short to guard anything. Raises :class:`~yeban.errors.InvalidRequest`."""
    if not LEAST_CHARS <= len(password) <= MOST_CHARS:
        raise InvalidRequest(f"A password has {LEAST_CHARS} to {MOST_CHARS} characters.", field="password")
    has_name = len(name) >= _NAME_CHARS and name.lower() in password.lower()
    if len(set(password)) < LEAST_CHARS // 2 or has_name:
        raise InvalidRequest(
            "The password is too easy to guess: use more different characters, and not the name.", field="password"
        )


def hash_password(password: str) -> str:
    """What is kept of a password."""
    with _turn():
        return _hasher.hash(password)


def matches(kept: str | None, password: str) -> bool:
    """Whether ``password`` is the one that ``kept`` was made of; takes as long where there is none (``None``).

    Raises :class:`~yeban.errors.Overloaded` where too many passwords are being tried.
    """
    with _turn():
        try:
            return _hasher.verify(kept or _nobodys(), password[:MOST_CHARS]) and kept is not None
        except (VerificationError, InvalidHashError):
            return False


def is_outdated(kept: str) -> bool:
    """Whether it was made with weaker parameters than a new one is."""
    return _hasher.check_needs_rehash(kept)


@lru_cache(maxsize=1)
def _nobodys() -> str:
    return _hasher.hash("no account has this password")


@contextmanager
def _turn() -> Iterator[None]:
    if not _HASHING.acquire(timeout=_PATIENCE_S):
        raise Overloaded("Too many people sign in at once; try again in a moment.", retry_after_s=_PATIENCE_S)
    try:
        yield
    finally:
        _HASHING.release()
