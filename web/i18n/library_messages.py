"""Words of the libraries we stand on that pages show: what was wrong with a request, and with a field's value.

They are here to be translated; ``{0}`` stands for what is filled in.
"""

from __future__ import annotations

#: Werkzeug's pages for requests that lead nowhere, with the names of their statuses (RFC 9110).
OF_REQUESTS = (
    "Bad Request",
    "The browser (or proxy) sent a request that this server could not understand.",
    "Not Found",
    (
        "The requested URL was not found on the server. If you entered the URL manually please check your spelling and"
        " try again."
    ),
    "Method Not Allowed",
    "The method is not allowed for the requested URL.",
    "Request Timeout",
    "Misdirected Request",
    "Unsupported Media Type",
    "The server does not support the media type transmitted in the request.",
    "Too Many Requests",
    "This user has exceeded an allotted request count. Try again later.",
)

#: Pydantic's, as :mod:`web.http.parsing` writes them.
OF_VALUES = (
    "there is no such field",
    "field required",
    "input should be a valid string",
    "input should be a valid list",
    "input should be a valid dictionary",
    "input should be an object",
    "input should be a valid boolean",
    "input should be a valid boolean, unable to interpret input",
    "input should be a valid integer",
    "input should be a valid integer, unable to parse string as an integer",
    "input should be a valid integer, got a number with a fractional part",
    "unable to parse input string as an integer, exceeded maximum size",
    "input should be a valid number",
    "input should be a valid number, unable to parse string as a number",
    "input should be a finite number",
    "input should be greater than {0}",
    "input should be greater than or equal to {0}",
    "input should be less than {0}",
    "input should be less than or equal to {0}",
    "input should be {0}",
    "input should be a valid datetime",
    "input should be a valid datetime, {0}",
    "input should be a valid datetime or date, {0}",
    "string should have at least {0} character",
    "string should have at least {0} characters",
    "string should have at most {0} character",
    "string should have at most {0} characters",
    "string should match pattern '{0}'",
    "list should have at least {0} item after validation, not {1}",
    "list should have at least {0} items after validation, not {1}",
    "list should have at most {0} item after validation, not {1}",
    "list should have at most {0} items after validation, not {1}",
    "value error, {0}",
)

#: Fields of forms, as the refusal of a value names them, and that of a whole form.
FIELDS = (
    "text",
    "labels",
    "template",
    "multi label",
    "threshold",
    "model",
    "text column",
    "gold column",
    "format",
    "encoding",
    "delimiter",
    "sheet",
    "start at",
    "expires at",
    "refine",
    "file",
    "label",
    "description",
    "examples",
    "name",
    "team",
    "url",
)

__all__ = ["FIELDS", "OF_REQUESTS", "OF_VALUES"]
