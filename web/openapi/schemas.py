"""JSON schemas of request and answer models."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from web.http.parsing import JsonBody

_TEMPLATE = "#/components/schemas/{model}"


class _Untitled(GenerateJsonSchema):
    """Generate schemas without titles, which only repeat the field names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  # pydantic's
        return False


class _OfText(_Untitled):
    """Generate schemas of queries and forms, where a missing value is left out and never ``null``."""

    def nullable_schema(self, schema: Any) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> dict[str, Any]:
        found = super().default_schema(schema)
        return {key: value for key, value in found.items() if (key, value) != ("default", None)}


def of_json(models: Iterable[type[BaseModel]]) -> dict[str, dict[str, Any]]:
    """Return the schemas of models, and of the models they contain, by name."""
    modes: list[Any] = [
        (model, "validation" if issubclass(model, JsonBody) else "serialization") for model in dict.fromkeys(models)
    ]
    found = models_json_schema(modes, ref_template=_TEMPLATE, schema_generator=_Untitled)[1].get("$defs", {})
    return {name: _untitled(schema) for name, schema in sorted(found.items())}


def of_text(model: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of a query or a form, with references resolved."""
    schema = model.model_json_schema(schema_generator=_OfText, ref_template=_TEMPLATE)
    known = {_TEMPLATE.format(model=name): _untitled(found) for name, found in schema.pop("$defs", {}).items()}
    fields = {name: known.get(field.get("$ref"), {}) | field for name, field in schema["properties"].items()}
    for field in fields.values():
        field.pop("$ref", None)
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": fields,
        "required": schema.get("required", []),
    }


def reference(model: type[BaseModel]) -> dict[str, str]:
    """Return a reference to the schema of ``model``."""
    return {"$ref": _TEMPLATE.format(model=model.__name__)}


def map_descriptions(part: Any, change: Callable[[str], str]) -> Any:
    """Return a part of a document with ``change`` applied to each description."""
    if isinstance(part, list):
        return [map_descriptions(item, change) for item in part]
    if not isinstance(part, dict):
        return part
    return {
        key: change(value) if key == "description" and isinstance(value, str) else map_descriptions(value, change)
        for key, value in part.items()
    }


def _untitled(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != "title"}
