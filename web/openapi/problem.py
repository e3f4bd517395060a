"""The problem document (RFC 9457) that every failure is, and the codes there are."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from web.http.errors import STATUS, TITLES
from yeban.errors import YebanError, error_classes

#: Codes of failures that are found before any view: by HTTP itself, by Flask, by the guards of the service.
HTTP_CODES: dict[str, HTTPStatus] = {
    "malformed": HTTPStatus.BAD_REQUEST,
    "method_not_allowed": HTTPStatus.METHOD_NOT_ALLOWED,
    "request_timeout": HTTPStatus.REQUEST_TIMEOUT,
    "unsupported_media_type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "misdirected_request": HTTPStatus.MISDIRECTED_REQUEST,
}


class Problem(BaseModel):
    """Why a request failed. Further members give facts; which ones depends on the code."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, use_attribute_docstrings=True)

    type: str = Field(pattern="^urn:yeban:problem:[a-z_]+$")
    """`urn:yeban:problem:` and the code."""
    title: str
    """The same for every problem of a code."""
    status: int = Field(ge=400, le=599)
    detail: str
    """For people: what is wrong, where, and what to do."""
    code: str
    """For programs; it never changes its meaning."""

    example: ClassVar[Mapping[str, Any] | None] = {
        "type": "urn:yeban:problem:unknown_column",
        "title": "The table has no such column",
        "status": 422,
        "detail": "There is no column “txt”; there are: id, text, label.",
        "code": "unknown_column",
    }


def status_of_code() -> dict[str, HTTPStatus]:
    """Every code with its status, in the order of the statuses."""
    codes = HTTP_CODES | {code: _status(error) for code, error in error_classes().items()}
    return dict(sorted(codes.items(), key=lambda item: item[1]))


def title_of_code(code: str) -> str:
    """The title of a problem with this code."""
    error = error_classes().get(code)
    if error is None:
        return HTTP_CODES[code].phrase
    return str(next(TITLES[kind] for kind in error.__mro__ if kind in TITLES))


def _status(error: type[YebanError]) -> HTTPStatus:
    return next(STATUS[kind] for kind in error.__mro__ if kind in STATUS)
