"""Generation of the OpenAPI 3.1 document from routes, their documentation and their models."""

from __future__ import annotations

import inspect
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from flask import Flask
from pydantic import BaseModel

from web.blueprints import Access
from web.openapi import problem, schemas
from web.openapi.documentation import Answer, documentation_of, documented
from web.openapi.problem import Problem
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
from yeban.settings import Settings

#: Blueprints whose routes are documented.
BLUEPRINTS = ("api", "probes")

# The parts that no route contributes: the service, the groups of routes in their order, headers, tokens.
_SKELETON = (Path(__file__).parent / "skeleton.json").read_text(encoding="utf-8")
GROUPS: list[str] = [group["name"] for group in json.loads(_SKELETON)["tags"]]

_HEADERS_OF_STATUS = {401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}
_PATH_VARIABLES = {
    "job_id": "The job's `id`.",
    "label_set_id": "The set's `id`.",
    "version": "The version's number.",
    "webhook_id": "The webhook's `id`.",
    "delivery_id": "The delivery's `id`.",
}

# Problems of reading a body.
_BODY_CODES = {"malformed", "request_timeout", TooLarge.code, "unsupported_media_type", InvalidRequest.code}

_VARIABLE = re.compile(r"<(?:(?P<converter>\w+)(?:\((?P<choices>[^)]*)\))?:)?(?P<name>\w+)>")
_OF_CONVERTER: dict[str | None, dict[str, Any]] = {
    None: {"type": "string"},
    "string": {"type": "string"},
    "int": {"type": "integer", "minimum": 0},
    "uuid": {"type": "string", "format": "uuid"},
}
_SETTING = re.compile(r"`YEBAN_([A-Z_]+)`")


class Route(NamedTuple):
    """One method of one path. ``variables`` has a JSON schema for each path parameter."""

    endpoint: str
    path: str
    method: str
    name: str
    summary: str
    variables: Mapping[str, Mapping[str, Any]]
    documentation: documented
    public: bool  # needs no token, even with accounts


def api_routes(app: Flask) -> Iterator[Route]:
    """Yield every route of the API, those with ``any(…)`` once for each choice.

    Raises ``LookupError`` for an undocumented route.
    """
    for rule in app.url_map.iter_rules():
        blueprint, _, name = rule.endpoint.rpartition(".")
        if blueprint not in BLUEPRINTS:
            continue
        documentation = documentation_of(app.view_functions[rule.endpoint])
        if documentation is None:
            raise LookupError(f"The route {rule.rule} is not documented; put @documented between it and its view.")
        (method,) = (rule.methods or set()) - {"HEAD", "OPTIONS"}
        public = getattr(rule, "policy").access is Access.PUBLIC  # noqa: B009  # an attribute of our rules
        summaries = documentation.summary
        for choice, summary in ({"": summaries} if isinstance(summaries, str) else summaries).items():
            path = re.sub(r"<any\([^)]*\):\w+>", choice, rule.rule)
            variables = {found["name"]: _OF_CONVERTER[found["converter"]] for found in _VARIABLE.finditer(path)}
            operation = f"{choice}_{name.partition('_')[2]}" if choice else name
            path = _VARIABLE.sub(r"{\g<name>}", path)
            yield Route(rule.endpoint, path, method.lower(), operation, summary, variables, documentation, public)


def build(app: Flask) -> dict[str, Any]:
    """Build the document. Raises ``LookupError`` for an undocumented route."""
    routes = sorted(api_routes(app), key=lambda route: GROUPS.index(route.documentation.group))
    models = schemas.of_json([Problem, *(model for route in routes for model in _models(route.documentation))])
    models["Problem"]["properties"]["code"]["enum"] = list(problem.status_of_code())
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for route in routes:
        paths[route.path][route.method] = _operation(route)
    used = {route.documentation.group for route in routes}
    document = json.loads(_SKELETON)
    document["info"]["version"] = __version__
    document["tags"] = [group for group in document["tags"] if group["name"] in used]
    document["paths"] = dict(paths)
    document["components"]["schemas"] = models
    return schemas.map_descriptions(document, _as_markdown)  # type: ignore[no-any-return]


def with_limits(document: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Return the document with the value of each setting before its name."""

    def value_of(found: re.Match[str]) -> str:
        value = getattr(settings, found[1].lower(), None)
        return f"{value:,} ({found[0]})" if isinstance(value, int) else found[0]

    return schemas.map_descriptions(document, lambda text: _SETTING.sub(value_of, text))  # type: ignore[no-any-return]


def _as_markdown(text: str) -> str:
    """Convert a docstring: single backquotes, and one line for each paragraph."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.replace("``", "`").split("\n\n"))


def _models(documentation: documented) -> Iterator[type[BaseModel]]:
    answers = documentation.answers.values()
    models = [documentation.body, *(each.model if isinstance(each, Answer) else each for each in answers)]
    return (model for model in models if model is not None)


def _operation(route: Route) -> dict[str, Any]:
    documentation = route.documentation
    query = schemas.of_text(documentation.query) if documentation.query else {"properties": {}}
    parameters = [
        {"name": name, "in": "path", "required": True, "description": _PATH_VARIABLES[name], "schema": schema}
        for name, schema in route.variables.items()
    ]
    for name, schema in query["properties"].items():
        found: dict[str, Any] = {"name": name, "in": "query", "required": name in query["required"]}
        if description := schema.pop("description", None):
            found["description"] = description
        parameters.append({**found, "allowEmptyValue": True, "schema": schema})  # a blank value counts as absent
    parameters += [{"name": name, "in": "header", **header} for name, header in documentation.headers.items()]
    responses = {str(status): _answer(answer) for status, answer in sorted(documentation.answers.items())}
    for status, codes in _problems(route).items():
        responses.setdefault(str(status), _problem(status, codes))
    return {
        "tags": [documentation.group],
        "summary": route.summary,
        "operationId": route.name,
        **({"description": documentation.description} if documentation.description else {}),
        **({"security": []} if route.public else {}),
        **({"parameters": parameters} if parameters else {}),
        **_body(documentation),
        "responses": responses,
    }


def _body(documentation: documented) -> dict[str, Any]:
    if (body := documentation.body) is not None:
        content = {"application/json": {"schema": schemas.reference(body), **_example(body)}}
    elif documentation.form is not None:
        schema = schemas.of_text(documentation.form)
        if documentation.file:
            # "format" is for client generators, which know it from OpenAPI 3.0.
            file = {
                "type": "string",
                "format": "binary",
                "contentMediaType": "application/octet-stream",
                "description": documentation.file,
            }
            schema["properties"] = {"file": file} | schema["properties"]
            schema["required"] = ["file", *schema["required"]]
        kind = "multipart/form-data" if documentation.file else "application/x-www-form-urlencoded"
        content = {kind: {"schema": schema, **_example(documentation.form)}}
    else:
        return {}
    return {"requestBody": {"required": True, "content": content}}


def _answer(given: type[BaseModel] | Answer) -> dict[str, Any]:
    answer = given if isinstance(given, Answer) else Answer(model=given)
    description, content = answer.description, {}
    if answer.model is not None:
        description = description or inspect.getdoc(answer.model) or ""
        content = {"application/json": {"schema": schemas.reference(answer.model), **_example(answer.model)}}
    elif answer.content_type is not None:  # OpenAPI 3.1 describes binary content by its type alone
        content = {answer.content_type: {"schema": {"type": "string"} if answer.content_type[:5] == "text/" else {}}}
    headers = {**answer.headers, **_header_references("X-Request-ID")}
    return {"description": description, "headers": headers, **({"content": content} if content else {})}


def _example(model: type[BaseModel]) -> dict[str, Any]:
    example = getattr(model, "example", None)
    return {} if example is None else {"example": example}


def _problems(route: Route) -> dict[int, list[str]]:
    """Codes by status: of the view, of reading its input, and of any route."""
    documentation = route.documentation
    codes = {"misdirected_request", YebanError.code} | {error.code for error in documentation.problems}
    codes |= {Forbidden.code, ServiceUnavailable.code} if route.path.startswith("/api/") else set()
    codes |= set() if route.public else {Unauthorized.code, RateLimited.code}
    codes |= _BODY_CODES if documentation.body or documentation.form else set()
    codes |= {InvalidRequest.code} if documentation.query else set()
    codes |= {NotFound.code} if route.variables else set()
    by_status: dict[int, list[str]] = defaultdict(list)
    for code, status in problem.status_of_code().items():
        if code in codes:
            by_status[status].append(code)
    return by_status


def _problem(status: int, codes: list[str]) -> dict[str, Any]:
    narrowed = {"properties": {"code": {"enum": codes}}}
    return {
        "description": "; ".join(f"{problem.title_of_code(code)} (`{code}`)" for code in codes),
        "headers": _header_references(*_HEADERS_OF_STATUS.get(status, []), "X-Request-ID"),
        "content": {"application/problem+json": {"schema": {"allOf": [schemas.reference(Problem), narrowed]}}},
    }


def _header_references(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
