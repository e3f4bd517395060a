"""What was typed into a form that was refused as a whole, so that it can be sent once more.

It is on the page of the refusal alone, and nowhere stored. Files are not kept, and passwords are asked for again.
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

#: Fields of forms that no page ever shows again.
PASSWORDS = ("present", "password", "again")

#: Refusals that may pass by themselves.
_PASSING = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_MAX_PARTS = 4_000
_SHOWN = 50
_SHOWN_CHARS = 2_000
#: Refused forms that are read and shown again at a time: to be refused must stay cheaper than to be served.
_AT_ONCE = threading.BoundedSemaphore(4)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A form that can be sent again to ``path``."""

    path: str
    fields: tuple[tuple[str, str], ...]
    passwords: tuple[str, ...]  # names of fields that are to be filled in anew
    shown: tuple[tuple[str, str], ...]  # what people can read of it: names in their language, and values


@contextmanager
def kept(status: HTTPStatus) -> Iterator[Kept | None]:
    """The form of the request that is being refused, for as long as the answer is written.

    ``None`` where there is none, the refusal will not pass, or no page of ours sent it: whoever made a browser send it
    would else be given the token that it lacks.
    """
    may_pass = status in _PASSING or (status is HTTPStatus.FORBIDDEN and csrf.was_refused())
    of_page = (request.endpoint or "").startswith("pages.") and request.endpoint != "pages.upload_file"
    wanted = (
        request.method == "POST"
        and of_page
        and may_pass
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


def _read() -> Kept | None:
    # As much as the largest of the forms takes, where the view has not come to say what its own may have.
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
    return Kept(
        path=request.full_path.rstrip("?"),
        fields=tuple(fields),
        passwords=tuple(name for name in PASSWORDS if any(name == other for other, _ in given)),
        shown=tuple((name, value[:_SHOWN_CHARS]) for name, value in named if name is not None)[:_SHOWN],
    )
