"""Paged lists: their queries, and cursors with the key of the last item, opaque to callers."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from pydantic import Field

from web.http.parsing import Fields
from yeban.errors import InvalidRequest, msg

_MAX_KEY = 2**63 - 1

Item = TypeVar("Item")


class PageQuery(Fields):
    """Page of a list."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: str | None = None
    """The `next_cursor` of the previous page."""


class RowsQuery(PageQuery):
    """Page of a list of rows."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100


def encode(kind: str, key: int | None) -> str | None:
    """Return the cursor behind item ``key`` of the list ``kind``."""
    if key is None:
        return None
    return base64.urlsafe_b64encode(f"{kind}:{key}".encode()).decode().rstrip("=")


def split(
    kind: str, items: Sequence[Item], limit: int, key: Callable[[Item], int]
) -> tuple[Sequence[Item], str | None]:
    """Return the first ``limit`` items and the cursor of the next page.

    There is a next page if ``items`` has more than ``limit`` items.
    """
    page = items[:limit]
    return page, encode(kind, key(page[-1])) if len(items) > limit else None


def decode(kind: str, cursor: str | None) -> int | None:
    """Return the key in a cursor; ``None`` without one. Raises :class:`~yeban.errors.InvalidRequest`."""
    if cursor is None:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        found, _, key = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii").partition(":")
    except (binascii.Error, UnicodeError, ValueError):
        found, key = "", ""
    if found != kind or not (key.isdigit() and len(key) < 20 and int(key) <= _MAX_KEY):
        raise InvalidRequest(msg("The cursor is not from this list. Start without a cursor."), field="cursor")
    return int(key)
