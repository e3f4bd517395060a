"""Requests refused by HTTP's own rules, before any view."""

from __future__ import annotations

from http import HTTPStatus

from werkzeug.exceptions import HTTPException

from yeban.errors import Message


class Refusal(HTTPException):
    """An answer of ``status`` with ``message`` as its detail."""

    def __init__(self, status: HTTPStatus, message: Message) -> None:
        super().__init__(str(message))
        self.code = status.value
        self.message = message
