"""The API's routes with what they tell beside their views."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from web.openapi.documented import Documentation, documentation_of

#: The blueprints whose routes are described.
BLUEPRINTS = ("api", "probes")

_VARIABLE = re.compile(r"<(?:(?P<converter>\w+)(?:\((?P<arguments>[^)]*)\))?:)?(?P<name>\w+)>")
_SCHEMAS: dict[str | None, dict[str, Any]] = {
    None: {"type": "string"},
    "string": {"type": "string"},
    "int": {"type": "integer", "minimum": 0},
    "uuid": {"type": "string", "format": "uuid"},
}
_NO_OPERATIONS = {"HEAD", "OPTIONS"}


@dataclass(frozen=True, kw_only=True)
class Route:
    """One method of one path. ``variables`` holds a JSON schema for each name in the path."""

    endpoint: str
    path: str
    method: str
    name: str
    summary: str
    variables: Mapping[str, Mapping[str, Any]]
    documentation: Documentation


def api_routes(app: Flask) -> Iterator[Route]:
    """Every route of the API, those with ``any(…)`` once for each choice.

    Raises ``LookupError`` for one that is not documented.
    """
    for rule in app.url_map.iter_rules():
        if rule.endpoint.partition(".")[0] not in BLUEPRINTS:
            continue
        told = documentation_of(app.view_functions[rule.endpoint])
        if told is None:
            raise LookupError(
                f"The route {rule.rule} tells nothing of itself; put @documented between it and its view."
            )
        yield from _routes(rule, told)


def _routes(rule: Rule, told: Documentation) -> Iterator[Route]:
    name = rule.endpoint.rpartition(".")[2]
    choices = next((found for found in _VARIABLE.finditer(rule.rule) if found["converter"] == "any"), None)
    for choice, summary in told.summaries.items():
        template, operation = rule.rule, name
        if choices is not None:
            template = template.replace(choices[0], choice)
            operation = f"{choice}_{name.partition('_')[2]}"
        for method in sorted((rule.methods or set()) - _NO_OPERATIONS):
            yield Route(
                endpoint=rule.endpoint,
                path=_VARIABLE.sub(lambda found: "{" + found["name"] + "}", template),
                method=method,
                name=operation,
                summary=summary,
                variables={found["name"]: _SCHEMAS[found["converter"]] for found in _VARIABLE.finditer(template)},
                documentation=told,
            )
