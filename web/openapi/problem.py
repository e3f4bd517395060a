"""Problem documents (RFC 9457) and their codes."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from web.http.errors import status_of, title_of
from yeban.errors import error_classes

#: Codes of errors raised before any view: by HTTP, by Flask, by the checks of every request.
HTTP_CODES: dict[str, HTTPStatus] = {
    "malformed": HTTPStatus.BAD_REQUEST,
    "method_not_allowed": HTTPStatus.METHOD_NOT_ALLOWED,
    "request_timeout": HTTPStatus.REQUEST_TIMEOUT,
    "unsupported_media_type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "misdirected_request": HTTPStatus.MISDIRECTED_REQUEST,
}


class Problem(BaseModel):
    """The reason why a request failed. The code determines which further members there are."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, use_attribute_docstrings=True)

    type: str = Field(pattern="^urn:yeban:problem:[a-z_]+$")
    """`urn:yeban:problem:` followed by the code."""
    title: str
    """Summary, the same for every problem with this code."""
    status: int = Field(ge=400, le=599)
    detail: str
    """Explanation for people: what is wrong, where, and what to do."""
    code: str
    """Code for programs; its meaning never changes."""

    example: ClassVar[Mapping[str, Any] | None] = {
        "type": "urn:yeban:problem:unknown_column",
        "title": "The table has no such column",
        "status": 422,
        "detail": "There is no column “txt”; there are: id, text, label.",
        "code": "unknown_column",
    }


def status_of_code() -> dict[str, HTTPStatus]:
    """Return the status of every code, ordered by status."""
    codes = HTTP_CODES | {code: status_of(error) for code, error in error_classes().items()}
    return dict(sorted(codes.items(), key=lambda item: item[1]))


def title_of_code(code: str) -> str:
    """Return the title of problems with this code."""
    error = error_classes().get(code)
    if error is None:
        return HTTP_CODES[code].phrase
    return str(title_of(error))
