"""Messages for errors of pydantic and Werkzeug, and the names of forms' fields."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from pydantic_core import ErrorDetails
from werkzeug.exceptions import HTTPException

from web.i18n.messages import translated
from yeban.errors import Message, msg

#: The names of statuses (RFC 9110), and what Werkzeug says of them.
_TITLES = {
    HTTPStatus.BAD_REQUEST: msg("Bad Request"),
    HTTPStatus.NOT_FOUND: msg("Not Found"),
    HTTPStatus.METHOD_NOT_ALLOWED: msg("Method Not Allowed"),
    HTTPStatus.REQUEST_TIMEOUT: msg("Request Timeout"),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: msg("Unsupported Media Type"),
    HTTPStatus.MISDIRECTED_REQUEST: msg("Misdirected Request"),
    HTTPStatus.TOO_MANY_REQUESTS: msg("Too Many Requests"),
}
_DETAILS = {
    HTTPStatus.BAD_REQUEST: msg("The browser (or proxy) sent a request that this server could not understand."),
    HTTPStatus.NOT_FOUND: msg(
        "The requested URL was not found on the server. If you entered the URL manually please check your "
        "spelling and try again."
    ),
    HTTPStatus.METHOD_NOT_ALLOWED: msg("The method is not allowed for the requested URL."),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: msg("The server does not support the media type transmitted in the request."),
    HTTPStatus.TOO_MANY_REQUESTS: msg("This user has exceeded an allotted request count. Try again later."),
}

#: By pydantic's error type. The placeholders are the names in the context of the error.
_PROBLEMS = {
    "bool_parsing": msg("input should be a valid boolean, unable to interpret input"),
    "bool_type": msg("input should be a valid boolean"),
    "datetime_from_date_parsing": msg("input should be a valid datetime or date, %(error)s"),
    "datetime_object_invalid": msg("invalid datetime object, got %(error)s"),
    "datetime_parsing": msg("input should be a valid datetime, %(error)s"),
    "datetime_type": msg("input should be a valid datetime"),
    "dict_type": msg("input should be a valid dictionary"),
    "extra_forbidden": msg("there is no such field"),
    "finite_number": msg("input should be a finite number"),
    "float_parsing": msg("input should be a valid number, unable to parse string as a number"),
    "float_type": msg("input should be a valid number"),
    "greater_than": msg("input should be greater than %(gt)s"),
    "greater_than_equal": msg("input should be greater than or equal to %(ge)s"),
    "int_from_float": msg("input should be a valid integer, got a number with a fractional part"),
    "int_parsing": msg("input should be a valid integer, unable to parse string as an integer"),
    "int_parsing_size": msg("unable to parse input string as an integer, exceeded maximum size"),
    "int_type": msg("input should be a valid integer"),
    "json_invalid": msg("invalid JSON: %(error)s"),
    "less_than": msg("input should be less than %(lt)s"),
    "less_than_equal": msg("input should be less than or equal to %(le)s"),
    "list_type": msg("input should be a valid list"),
    "literal_error": msg("input should be %(expected)s"),
    "missing": msg("field required"),
    "model_type": msg("input should be an object"),
    "string_pattern_mismatch": msg("string should match pattern '%(pattern)s'"),
    "string_too_long": msg("string should have at most %(max_length)s characters"),
    "string_too_short": msg("string should have at least %(min_length)s characters"),
    "string_type": msg("input should be a valid string"),
    "too_long": msg("list should have at most %(max_length)s items after validation, not %(actual_length)s"),
    "too_short": msg("list should have at least %(min_length)s items after validation, not %(actual_length)s"),
}
_SINGULAR = {
    "string_too_long": msg("string should have at most %(max_length)s character"),
    "string_too_short": msg("string should have at least %(min_length)s character"),
    "too_long": msg("list should have at most %(max_length)s item after validation, not %(actual_length)s"),
    "too_short": msg("list should have at least %(min_length)s item after validation, not %(actual_length)s"),
}

_FIELDS = {
    message.id: message
    for message in (
        msg("text"),
        msg("labels"),
        msg("template"),
        msg("multi_label"),
        msg("threshold"),
        msg("model"),
        msg("text_column"),
        msg("gold_column"),
        msg("format"),
        msg("encoding"),
        msg("delimiter"),
        msg("sheet"),
        msg("start_at"),
        msg("expires_at"),
        msg("refine"),
        msg("file"),
        msg("label"),
        msg("description"),
        msg("examples"),
        msg("name"),
        msg("team"),
        msg("url"),
    )
}


def of_request(error: HTTPException, status: HTTPStatus) -> tuple[Message, Message]:
    """The title and the detail of one of Werkzeug's errors."""
    title = _TITLES.get(status, Message.verbatim(status.phrase))
    if (own := vars(error).get("description")) is not None:
        return title, Message.verbatim(own)
    return title, _DETAILS.get(status, Message.verbatim(error.description or status.description))


def of_value(error: ErrorDetails) -> Message:
    """The problem of one of pydantic's errors, without a capital and a full stop."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error" and isinstance(said := context["error"].args[0], Message):
        return said
    templates = _SINGULAR if 1 in {context.get("min_length"), context.get("max_length")} else _PROBLEMS
    template = templates.get(kind) or _PROBLEMS.get(kind)
    if template is None:
        return Message.verbatim(error["msg"][:1].lower() + error["msg"][1:])
    return Message(template.id, {name: _plain(value) for name, value in context.items()})


def located(places: Iterable[Message | str], problem: Message) -> Message:
    """``problem`` behind where it is, from the outside in: ``threshold: input should be …``."""
    for place in reversed(list(places)):
        field = place if isinstance(place, Message) else _FIELDS.get(place, place)
        problem = msg("%(field)s: %(problem)s", field=field, problem=problem)
    return problem


def field_name(name: str) -> str | None:
    """The name of a form's field in the reader's language; ``None`` for a field without one."""
    return translated(_FIELDS[name]).replace("_", " ") if name in _FIELDS else None


def _plain(value: object) -> int | str:
    """A limit as pydantic writes it: ``0`` for ``0.0``."""
    return int(value) if isinstance(value, int | float) and value == int(value) else str(value)


__all__ = ["field_name", "located", "of_request", "of_value"]
