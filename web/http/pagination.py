"""Cursors of paged lists: opaque to callers, a key of the last item to us."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from yeban.errors import InvalidRequest, msg

_MAX_KEY = 2**63 - 1

Item = TypeVar("Item")


def encode(kind: str, key: int) -> str:
    """The cursor behind item ``key`` of the list ``kind``."""
    return base64.urlsafe_b64encode(f"{kind}:{key}".encode()).decode().rstrip("=")


def onward(kind: str, key: int | None) -> str | None:
    """The cursor of the next page, which begins behind item ``key``; ``None`` where there is none."""
    return None if key is None else encode(kind, key)


def cut(kind: str, found: Sequence[Item], limit: int, key: Callable[[Item], int]) -> tuple[Sequence[Item], str | None]:
    """A page of ``limit`` items and the next one's cursor, of what was asked for one item more than the page takes."""
    shown = found[:limit]
    return shown, encode(kind, key(shown[-1])) if len(found) > limit else None


def decode(kind: str, cursor: str | None) -> int | None:
    """The inverse of :func:`encode`; ``None`` without a cursor. Raises :class:`~yeban.errors.InvalidRequest`."""
    if cursor is None:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        found, _, key = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii").partition(":")
    except (binascii.Error, UnicodeError, ValueError):
        found, key = "", ""
    if found != kind or not (key.isdigit() and len(key) < 20 and int(key) <= _MAX_KEY):
        raise InvalidRequest(msg("The cursor is not from this list; start without one."), field="cursor")
    return int(key)
