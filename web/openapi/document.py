"""The OpenAPI 3.1 document of an app, from its routes, what they tell beside their views, and their models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from flask import Flask

from web.openapi import problem
from web.openapi.components import Components, parameters_of
from web.openapi.documented import Answer, Documentation, Header
from web.openapi.problem import Problem
from web.openapi.routes import Route, api_routes
from yeban import __version__
from yeban.errors import (
    Forbidden,
    InvalidRequest,
    NotFound,
    RateLimited,
    ServiceUnavailable,
    TooLarge,
    Unauthorized,
    YebanError,
)

#: Groups of routes in their order, and what each is about.
GROUPS = {
    "Texts": "One text, answered now.",
    "Jobs": "Files whose rows are all tagged, and how they are held, stopped and deleted.",
    "Results": "Rows with their tags, in pages for programs and as whole files for people.",
    "Corrections": "Labels that people give rows; they win over whatever was predicted, and teach.",
    "Label sets": "Labels that are used again, saved under a name; every change is a version that stays as it is.",
    "Webhooks": "URLs that are told of the ends of jobs.",
    "Service": "Models, workers, and whether everything works.",
}

_DESCRIPTION = """\
Tags texts with labels that you make up, one by one or a whole file at a time, without training.

A field that is not known is refused, in bodies, forms and queries alike, so that a typing error never passes for a
default. A blank field of a form or a query counts as absent. Times are ISO 8601 with a time zone. Every failure is a
problem document (RFC 9457) with a `code` that never changes its meaning."""

_SECURITY = (
    "A token, where the service has accounts: `Authorization: Bearer yeban_…`. It is made on the page `/account` or by"
    " `yeban account token`, and may do what its account may. A service without accounts wants none."
)

# What a route may answer whatever it does, and what reading its input may.
_COMMON_CODES = {"misdirected_request", YebanError.code}
_API_CODES = {Forbidden.code, ServiceUnavailable.code}
_ACCOUNT_CODES = {Unauthorized.code, RateLimited.code}
_BODY_CODES = {"malformed", "request_timeout", TooLarge.code, "unsupported_media_type", InvalidRequest.code}

_PROBLEM_TYPE = "application/problem+json"
_REQUEST_ID = {"X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}}
_RETRY_AFTER = {"Retry-After": {"$ref": "#/components/headers/Retry-After"}}
_HEADERS = {
    401: {"WWW-Authenticate": {"$ref": "#/components/headers/WWW-Authenticate"}},
    429: _RETRY_AFTER,
    503: _RETRY_AFTER,
}

_PATH_VARIABLES = {
    "job_id": "The job's `id`.",
    "label_set_id": "The set's `id`.",
    "version": "The version's number.",
    "webhook_id": "The webhook's `id`.",
    "delivery_id": "The delivery's `id`.",
}


def build(app: Flask) -> dict[str, Any]:
    """The document. Raises ``LookupError`` for a route of the API that is not documented."""
    routes = sorted(api_routes(app), key=lambda route: list(GROUPS).index(route.documentation.group))
    components = Components([Problem, *(model for route in routes for model in _models(route.documentation))])
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for route in routes:
        paths[route.path][route.method.lower()] = _operation(route, components)
    schemas = components.schemas
    schemas["Problem"]["properties"]["code"]["enum"] = list(problem.status_of_code())
    return {
        "openapi": "3.1.0",
        "info": {"title": "Yeban", "version": __version__, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "tags": [
            {"name": name, "description": what}
            for name, what in GROUPS.items()
            if any(route.documentation.group == name for route in routes)
        ],
        "paths": dict(paths),
        "components": {
            "schemas": schemas,
            "headers": {
                "X-Request-ID": {
                    "description": "Names the request in the log: yours if you sent one, of up to 64 letters, digits,"
                    " `.`, `_`, `-`.",
                    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
                },
                "Retry-After": {
                    "description": "Seconds after which to try again.",
                    "schema": {"type": "integer", "minimum": 1},
                },
                "WWW-Authenticate": {"description": "`Bearer`: send a token.", "schema": {"type": "string"}},
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": _SECURITY}},
        },
    }


def _models(documentation: Documentation) -> Iterable[Any]:
    yield from filter(None, (documentation.body, documentation.form))
    yield from (answer.model for answer in documentation.answers.values() if answer.model is not None)


def _operation(route: Route, components: Components) -> dict[str, Any]:
    told = route.documentation
    operation: dict[str, Any] = {"tags": [told.group], "summary": route.summary, "operationId": route.name}
    if told.description:
        operation["description"] = told.description
    if not told.secured:
        operation["security"] = []
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PATH_VARIABLES[name],
            "schema": dict(schema),
        }
        for name, schema in route.variables.items()
    ]
    if told.query is not None:
        parameters += parameters_of(told.query)
    parameters += [{"name": name, "in": "header", **_header(header)} for name, header in told.headers.items()]
    if parameters:
        operation["parameters"] = parameters
    if (body := _body(told, components)) is not None:
        operation["requestBody"] = body
    responses = {str(status): _answer(answer, components) for status, answer in sorted(told.answers.items())}
    for status, codes in sorted(_problems(route).items()):
        responses.setdefault(str(status), _problem(status, codes))
    operation["responses"] = responses
    return operation


def _header(header: Header) -> dict[str, Any]:
    found = {"description": header.description, "schema": dict(header.schema)}
    return found if header.example is None else {**found, "example": header.example}


def _body(told: Documentation, components: Components) -> dict[str, Any] | None:
    model = told.body or told.form
    if model is None:
        return None
    content: dict[str, Any] = {"schema": components.reference(model)}
    content_type = "application/json"
    if told.form is not None:
        content_type = "multipart/form-data" if told.file else "application/x-www-form-urlencoded"
        content["schema"] = components.form(told.form, told.file)
    if (example := getattr(model, "example", None)) is not None:
        content["example"] = example
    return {"required": True, "content": {content_type: content}}


def _answer(answer: Answer, components: Components) -> dict[str, Any]:
    headers = {**{name: _header(header) for name, header in answer.headers.items()}, **_REQUEST_ID}
    if answer.model is None:
        found = {"description": answer.description, "headers": headers}
        if answer.content_type is not None:
            found["content"] = {answer.content_type: {"schema": _schema_of_file(answer.content_type)}}
        return found
    content: dict[str, Any] = {"schema": components.reference(answer.model)}
    if (example := getattr(answer.model, "example", None)) is not None:
        content["example"] = example
    return {
        "description": answer.description or components.description(answer.model),
        "headers": headers,
        "content": {"application/json": content},
    }


def _schema_of_file(content_type: str) -> Mapping[str, Any]:
    """Text is a string; of what is binary OpenAPI 3.1 says no more than its type."""
    return {"type": "string"} if content_type.startswith("text/") else {}


def _problems(route: Route) -> dict[int, list[str]]:
    """The codes that the route may answer, by status."""
    told, statuses = route.documentation, problem.status_of_code()
    codes = _COMMON_CODES | {error.code for error in told.problems}
    if route.path.startswith("/api/"):
        codes |= _API_CODES
    if told.secured:
        codes |= _ACCOUNT_CODES
    if told.body is not None or told.form is not None:
        codes |= _BODY_CODES
    if told.query is not None:
        codes.add(InvalidRequest.code)
    if route.variables:
        codes.add(NotFound.code)
    by_status: dict[int, list[str]] = defaultdict(list)
    for code, status in statuses.items():
        if code in codes:
            by_status[status].append(code)
    return by_status


def _problem(status: int, codes: list[str]) -> dict[str, Any]:
    return {
        "description": "; ".join(f"{problem.title_of_code(code)} (`{code}`)" for code in codes),
        "headers": {**_HEADERS.get(status, {}), **_REQUEST_ID},
        "content": {
            _PROBLEM_TYPE: {
                "schema": {
                    "allOf": [
                        {"$ref": "#/components/schemas/Problem"},
                        {"properties": {"code": {"enum": codes}, "status": {"const": status}}},
                    ]
                }
            }
        },
    }
