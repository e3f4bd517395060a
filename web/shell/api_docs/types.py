"""Types of a JSON schema in words, with links to other schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

_SHOWN_CHOICES = 12
_COUNTABLE = {"string", "integer", "number"}


class Part(NamedTuple):
    """Part of a type's name; ``schema`` is the schema to link to, or blank."""

    text: str
    schema: str = ""


def type_of(schema: Mapping[str, Any]) -> list[Part]:
    """Describe the type of a value in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return [Part(name, name)]
    if choices := schema.get("enum", [schema["const"]] if "const" in schema else []):
        more = ", …" if len(choices) > _SHOWN_CHOICES else ""
        return [Part(", ".join(map(str, choices[:_SHOWN_CHOICES])) + more)]
    if kinds := schema.get("anyOf") or schema.get("oneOf"):
        return [*_joined(kinds, " or "), *_limits(schema)]
    return _plain(schema)


def _plain(schema: Mapping[str, Any]) -> list[Part]:
    if places := schema.get("prefixItems"):
        return [Part("["), *_joined(places, ", "), Part("]")]
    kind = "file" if "contentMediaType" in schema else schema.get("type", "anything")
    if kind == "array":
        items = type_of(schema["items"])
        several = "s" if schema["items"].get("type") in _COUNTABLE and len(items) == 1 else ""
        return [Part("list of "), *items, Part(several), *_limits(schema)]
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return [Part("object of "), *type_of(schema["additionalProperties"])]
    return [Part(schema.get("format", kind)), *_limits(schema)]


def _joined(schemas: list[Mapping[str, Any]], between: str) -> list[Part]:
    return [part for schema in schemas for part in (Part(between), *type_of(schema))][1:]


def _limits(schema: Mapping[str, Any]) -> list[Part]:
    for low, high, unit in (
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
    ):
        least, most = schema.get(low), schema.get(high)
        if most is not None:
            return [Part(f", {least or 0} to {most}{unit}")]
        if least is not None:
            return [Part(f", {least}{unit} or more" if least > 1 or not unit else ", not empty")]
    return []
