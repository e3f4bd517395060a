"""Answers in JSON: UTF-8, from schemas that are valid by construction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, ClassVar, Self

from flask import Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str)

#: A time, answered as ISO 8601 with its offset from UTC.
Moment = Annotated[
    datetime,
    PlainSerializer(datetime.isoformat, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


#: A message, answered as its English sentence.
English = Annotated[str, BeforeValidator(str)]


class AnswerBody(BaseModel):
    """Base of answers: every field is present, and no other.

    ``example`` is an answer as it would be in JSON.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    example: ClassVar[Mapping[str, Any] | None] = None

    @classmethod
    def of(cls, view: Any) -> Self:
        """Build the answer from attributes or a mapping, ignoring unknown ones."""
        return cls.model_validate(view, from_attributes=True, extra="ignore")


def maybe_absent() -> Any:
    """Declare a field that is left out of the answer where it is ``None``."""
    return Field(default=None, exclude_if=_is_none, json_schema_extra=_without_null)


def dumps(value: Any) -> bytes:
    """Return ``value`` as JSON in UTF-8, with lone surrogates as ``\\uXXXX`` escapes."""
    return _ENCODER.encode(value).encode("utf-8", "backslashreplace")


def json_response(
    answer: AnswerBody, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    """Send an answer, which no cache may store."""
    response = Response(answer.model_dump_json(by_alias=True), status, headers, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def _is_none(value: object) -> bool:
    return value is None


def _without_null(schema: dict[str, Any]) -> None:
    schema.pop("default", None)
    (kind,) = (kind for kind in schema.pop("anyOf") if kind != {"type": "null"})
    schema.update(kind)
