"""Submitted forms that the page of a temporary error offers to send again.

The values are on that page alone and stored nowhere. Files are not included, and passwords have to be typed again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from flask import request
from werkzeug.exceptions import HTTPException

from web.http import csrf, hosts_and_headers
from web.http.htmx import asked_by_htmx
from web.http.parsing import SET_BYTES
from web.i18n.library_messages import field_name
from yeban.errors import YebanError

#: Fields whose values are never shown again.
PASSWORDS = ("present", "password", "again")

#: Statuses of errors that may be temporary.
_TEMPORARY = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_MAX_PARTS = 4_000
_MAX_SHOWN = 50
_MAX_SHOWN_CHARS = 2_000
#: Forms that are read again at a time: refusing a request must stay cheaper than serving it.
_AT_ONCE = threading.BoundedSemaphore(4)


@dataclass(frozen=True, kw_only=True)
class Resubmission:
    """A form to send again to ``path``."""

    path: str
    fields: tuple[tuple[str, str], ...]
    passwords: tuple[str, ...]  # names of fields to type again
    shown: tuple[tuple[str, str], ...]  # names in the reader's language, and values


@contextmanager
def resubmission(status: HTTPStatus) -> Iterator[Resubmission | None]:
    """Return the form of the refused request while its answer is rendered.

    ``None`` without a form, for permanent errors, and unless a page of this site sent it: the answer holds a CSRF
    token, which another site must not get.
    """
    is_temporary = status in _TEMPORARY or (status is HTTPStatus.FORBIDDEN and csrf.was_refused())
    of_page = (request.endpoint or "").startswith("pages.") and request.endpoint != "pages.upload_file"
    wanted = (
        request.method == "POST"
        and of_page
        and is_temporary
        and not asked_by_htmx()
        and hosts_and_headers.is_from_own_page()
    )
    if not (wanted and _AT_ONCE.acquire(blocking=False)):
        yield None
        return
    try:
        yield _read()
    finally:
        _AT_ONCE.release()


def _read() -> Resubmission | None:
    # The view may not have run, so that its own limits are not set: use those of the largest form.
    request.max_content_length = request.max_form_memory_size = SET_BYTES
    request.max_form_parts = _MAX_PARTS
    try:
        given = [item for item in request.form.items(multi=True) if item[0] != csrf.FIELD]
    except (YebanError, HTTPException):
        return None
    fields = [(name, value) for name, value in given if name not in PASSWORDS]
    if not any(value.strip() for _, value in fields):
        return None
    named = [(field_name(name), value) for name, value in fields if value.strip()]
    return Resubmission(
        path=request.full_path.rstrip("?"),
        fields=tuple(fields),
        passwords=tuple(name for name in PASSWORDS if any(name == other for other, _ in given)),
        shown=tuple((name, value[:_MAX_SHOWN_CHARS]) for name, value in named if name is not None)[:_MAX_SHOWN],
    )
