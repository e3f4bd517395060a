"""The document as a person reads it: groups of operations, tables of fields, types that link to schemas."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]

_SCHEMAS = "#/components/schemas/"
_PROBLEM_TYPE = "application/problem+json"
_SHOWN_CHOICES = 12
_COUNTABLE = {"string", "integer", "number"}


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a type's name; ``schema`` is the one that it names, or blank."""

    text: str
    schema: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """A parameter, whose ``place`` is ``path``, ``query`` or ``header``; or a field of a form, or of an object."""

    name: str
    type: Sequence[Part]
    required: bool
    description: str
    default: str = ""
    place: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """A body: its media type, its type, its fields where it is an object, and an example as text."""

    media_type: str
    type: Sequence[Part]
    fields: Sequence[Field]
    example: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Success:
    """An answer that is no problem."""

    status: int
    description: str
    headers: Sequence[tuple[str, str]]
    content: Content | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One method of one path. ``problems`` are the codes it may answer, by status."""

    name: str
    method: str
    path: str
    summary: str
    description: str
    parameters: Sequence[Field]
    body: Content | None
    answers: Sequence[Success]
    problems: Sequence[tuple[int, Sequence[str]]]
    raw: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Operations on the same things."""

    name: str
    description: str
    operations: Sequence[Operation]

    @property
    def anchor(self) -> str:
        """The part of the page's address that leads here."""
        return f"group-{self.name.lower().replace(' ', '-')}"


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedSchema:
    """A schema with its fields, or what it is in place of them."""

    name: str
    description: str
    fields: Sequence[Field]
    type: Sequence[Part]


def groups(document: Mapping[str, Any]) -> list[Group]:
    """Every operation, in the order of the document's tags."""
    operations = [
        (operation["tags"][0], _operation(method, path, operation, document["components"]["schemas"]))
        for path, found in document["paths"].items()
        for method, operation in found.items()
    ]
    return [
        Group(
            name=tag["name"],
            description=tag["description"],
            operations=[operation for name, operation in operations if name == tag["name"]],
        )
        for tag in document["tags"]
    ]


def schemas(document: Mapping[str, Any]) -> list[NamedSchema]:
    """Every schema, by name."""
    return [
        NamedSchema(
            name=name,
            description=schema.get("description", ""),
            fields=_members(schema),
            type=() if "properties" in schema else type_of(schema),
        )
        for name, schema in document["components"]["schemas"].items()
    ]


def type_of(schema: Schema) -> list[Part]:
    """What a value is, in words."""
    if reference := schema.get("$ref"):
        name = reference.removeprefix(_SCHEMAS)
        return [Part(name, name)]
    if choices := schema.get("enum", [schema["const"]] if "const" in schema else []):
        more = ", …" if len(choices) > _SHOWN_CHOICES else ""
        return [Part(", ".join(map(str, choices[:_SHOWN_CHOICES])) + more)]
    if kinds := schema.get("anyOf") or schema.get("oneOf"):
        parts = type_of(kinds[0])
        for kind in kinds[1:]:
            parts += [Part(" or "), *type_of(kind)]
        return [*parts, *_limits(schema)]
    return _plain_type(schema)


def _plain_type(schema: Schema) -> list[Part]:
    kind = "file" if "contentMediaType" in schema else schema.get("type", "anything")
    if places := schema.get("prefixItems"):
        parts = [part for place in places for part in (Part(", "), *type_of(place))]
        return [Part("["), *parts[1:], Part("]")]
    if kind == "array":
        items = type_of(schema["items"])
        several = "s" if schema["items"].get("type") in _COUNTABLE and len(items) == 1 else ""
        return [Part("list of "), *items, Part(several), *_limits(schema)]
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return [Part("object of "), *type_of(schema["additionalProperties"])]
    return [Part(schema.get("format", kind)), *_limits(schema)]


def _limits(schema: Schema) -> list[Part]:
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


def _operation(method: str, path: str, raw: Mapping[str, Any], named: Mapping[str, Schema]) -> Operation:
    body = raw.get("requestBody", {}).get("content", {})
    answers, problems = [], []
    for status, response in raw["responses"].items():
        contents = response.get("content", {})
        if _PROBLEM_TYPE in contents:
            problems.append((int(status), contents[_PROBLEM_TYPE]["schema"]["allOf"][1]["properties"]["code"]["enum"]))
        else:
            answers.append(
                Success(
                    status=int(status),
                    description=response["description"],
                    headers=[
                        (name, header["description"])
                        for name, header in response["headers"].items()
                        if "description" in header
                    ],
                    content=_content(contents, named),
                )
            )
    return Operation(
        name=raw["operationId"],
        method=method.upper(),
        path=path,
        summary=raw["summary"],
        description=raw.get("description", ""),
        parameters=[
            Field(
                name=parameter["name"],
                type=type_of(parameter["schema"]),
                required=parameter.get("required", False),
                description=parameter.get("description", ""),
                default=_default(parameter["schema"]),
                place=parameter["in"],
            )
            for parameter in raw.get("parameters", [])
        ],
        body=_content(body, named),
        answers=answers,
        problems=problems,
        raw=raw,
    )


def _content(contents: Mapping[str, Any], named: Mapping[str, Schema]) -> Content | None:
    for media_type, content in contents.items():
        schema = content["schema"]
        return Content(
            media_type=media_type,
            type=type_of(schema),
            fields=_members(named.get(schema.get("$ref", "").removeprefix(_SCHEMAS), schema)),
            example=json.dumps(content["example"], ensure_ascii=False, indent=2) if "example" in content else "",
        )
    return None


def _members(schema: Schema) -> list[Field]:
    required = schema.get("required", [])
    return [
        Field(
            name=name,
            type=type_of(member),
            required=name in required,
            description=member.get("description", ""),
            default=_default(member),
        )
        for name, member in schema.get("properties", {}).items()
    ]


def _default(schema: Schema) -> str:
    return "" if schema.get("default") in (None, "") else _json(schema["default"])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
