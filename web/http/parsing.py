"""Parse bodies, queries and forms into models; errors name the field."""

from __future__ import annotations

import io
from http import HTTPStatus
from typing import IO, Any, TypeVar, cast

from flask import Request as FlaskRequest
from flask import request
from pydantic import BaseModel, ConfigDict, ValidationError
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from web.http import csrf
from web.http.refusals import Refusal
from web.i18n.library_messages import located, of_value
from yeban.errors import InvalidRequest, TooLarge, msg

#: Most fields of a form without files: a thousand labels with descriptions and examples, and room.
MAX_FORM_FIELDS = 12_000

_MAX_PROBLEMS = 10
_READ_BYTES = 1 << 16

Model = TypeVar("Model", bound=BaseModel)

#: Most bytes of a body or form with a whole label set: a character takes up to twelve in either.
SET_BYTES = 8 * 2**20


class _FormParser(FormDataParser):
    """Werkzeug's parser, with limits for both types of forms.

    Fields are limited too: an empty one takes a byte to send and a hundred times that in memory.
    """

    def _parse_urlencoded(self, stream: IO[bytes], *how: Any) -> Any:
        most = self.max_form_memory_size
        body = bytearray()
        while part := stream.read(_READ_BYTES):
            body += part
            if most is not None and len(body) > most:
                raise TooLarge(msg("The form is larger than %(most)s bytes.", most=most), limit=most)
        if body.count(b"&") >= MAX_FORM_FIELDS:
            raise TooLarge(
                msg("The form has more than %(max_form_fields)s fields.", max_form_fields=MAX_FORM_FIELDS),
                limit=MAX_FORM_FIELDS,
            )
        _, form, files = super()._parse_urlencoded(io.BytesIO(body), *how)
        return stream, form, files

    def _parse_multipart(self, stream: IO[bytes], *how: Any) -> Any:
        body = _UploadBody(stream)
        try:
            _, form, files = super()._parse_multipart(cast("IO[bytes]", body), *how)
        except RequestEntityTooLarge:
            if body.is_too_large:
                raise
            raise TooLarge(
                msg(
                    "The form has more than %(max_form_parts)s fields, or a field or its header is too large.",
                    max_form_parts=self.max_form_parts,
                )
            ) from None
        return stream, form, files


class _UploadBody:
    """A body that records whether it was too large as a whole."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.is_too_large = False

    def read(self, size: int = -1) -> bytes:
        try:
            return self._stream.read(size)
        except RequestEntityTooLarge:
            self.is_too_large = True
            raise


class Request(FlaskRequest):
    """A request that closes the temporary files of its uploads.

    Werkzeug stores an upload over 500 KB in a file without a name, which vanishes when it is closed.
    Reading a form raises :class:`~yeban.errors.TooLarge` if it has too many fields or one is too large.
    """

    form_data_parser_class = _FormParser

    def _get_file_stream(self, *args: Any, **kwargs: Any) -> IO[bytes]:
        stream = super()._get_file_stream(*args, **kwargs)
        self.__dict__.setdefault("upload_streams", []).append(stream)
        return stream

    def close(self) -> None:
        super().close()
        for stream in self.__dict__.get("upload_streams", ()):
            stream.close()


class JsonBody(BaseModel):
    """Base of JSON bodies: strict types, no unknown fields."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def documented_limit(**schema: Any) -> dict[str, Any]:
    """Return arguments of ``Field`` that document a limit without checking it.

    The domain checks it, and raises an error of its own.
    """
    return {"json_schema_extra": schema}


class Fields(BaseModel):
    """Base of queries and forms, where every value is a string."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


def json_body(model: type[Model]) -> Model:
    """Parse the request's JSON body.

    Raises 415 for another content type, 400 for invalid JSON, and :class:`~yeban.errors.InvalidRequest` for JSON that
    does not fit the model.
    """
    if not request.is_json:
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, msg("Send JSON, with Content-Type: application/json."))
    try:
        return model.model_validate_json(request.get_data(cache=False))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            problem = msg("The body is not valid JSON: %(problem)s.", problem=first["ctx"]["error"])
            raise Refusal(HTTPStatus.BAD_REQUEST, problem) from None
        raise invalid(error) from None


def query(model: type[Model]) -> Model:
    """Parse the query parameters. Raises :class:`~yeban.errors.InvalidRequest`."""
    return fields(model, request.args)


def fields(model: type[Model], values: MultiDict[str, str]) -> Model:
    """Parse the fields of a query or form.

    Only fields with a list type may be repeated. A blank field counts as absent: browsers send empty inputs too.
    Raises :class:`~yeban.errors.InvalidRequest`.
    """
    given: dict[str, str | list[str]] = {}
    for found_name, found in values.lists():
        name = found_name or ""  # a part of a form may have no name
        if name == csrf.FIELD:  # checked before
            continue
        filled = [value for value in found if value.strip(" \r\n")]  # a tab is a delimiter
        known = model.model_fields.get(name)
        if known is not None and known.annotation == list[str]:
            given[name] = filled
        elif len(found) > 1:
            raise InvalidRequest(
                msg(
                    "The field %(name)s appears %(count)s times. Give it once.",
                    name=repr(name[:100]),
                    count=len(found),
                ),
                field=name,
            )
        elif filled or known is None:
            given[name] = found[0]
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise invalid(error) from None


def invalid(error: ValidationError) -> InvalidRequest:
    """The error that lists the first problems of ``error``, each behind its field."""
    items = error.errors(include_url=False, include_input=False)[:_MAX_PROBLEMS]
    places = [".".join(str(part) for part in item["loc"] if not str(part).startswith("@"))[:100] for item in items]
    problems = [located([place] if place else [], of_value(item)) for place, item in zip(places, items, strict=True)]
    context: dict[str, Any] = {"field": places[0]} if places[0] else {}
    return InvalidRequest(msg("%(problems)s.", problems=problems), **context)
