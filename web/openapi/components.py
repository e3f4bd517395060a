"""JSON schemas of the models that routes read and answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema
from pydantic_core import CoreSchema

from web.http.parsing import Fields, JsonBody

_REFERENCE = "#/components/schemas/{model}"


class Components:
    """The schemas of some models and of all that they are made of, by name."""

    def __init__(self, models: Iterable[type[BaseModel]]) -> None:
        wanted: dict[type[BaseModel], JsonSchemaMode] = {model: _mode(model) for model in models}
        self._references, found = models_json_schema(
            list(wanted.items()), ref_template=_REFERENCE, schema_generator=_Untitled
        )
        self._modes = wanted
        self._all: dict[str, dict[str, Any]] = dict(sorted(found["$defs"].items()))
        for schema in self._all.values():
            schema.pop("title", None)
            _tell_plainly(schema)
        self._inlined: set[str] = set()

    @property
    def schemas(self) -> dict[str, dict[str, Any]]:
        """Those that are referred to."""
        return {name: schema for name, schema in self._all.items() if name not in self._inlined}

    def reference(self, model: type[BaseModel]) -> dict[str, Any]:
        """A schema that refers to that of ``model``."""
        return dict(self._references[(model, self._modes[model])])

    def description(self, model: type[BaseModel]) -> str:
        """What the model's docstring says."""
        description: str = self._all[self._name(model)]["description"]
        return description

    def form(self, model: type[BaseModel], file: str) -> dict[str, Any]:
        """The schema of a form's fields; with what its field "file" holds, if it has one."""
        schema = self._all[self._name(model)]
        self._inlined.add(self._name(model))
        properties = {name: _of_text(field) for name, field in schema["properties"].items()}
        required = list(schema.get("required", []))
        if file:
            properties = {"file": {"description": file, "contentMediaType": "application/octet-stream"}} | properties
            required = ["file", *required]
        return {"type": "object", "additionalProperties": False, "properties": properties, "required": required}

    def _name(self, model: type[BaseModel]) -> str:
        name: str = self.reference(model)["$ref"].rpartition("/")[2]
        return name


def parameters_of(model: type[BaseModel]) -> list[dict[str, Any]]:
    """The fields of a query as parameters."""
    schema = model.model_json_schema(schema_generator=_Untitled, ref_template=_REFERENCE)
    definitions = schema.get("$defs", {})
    _tell_plainly(schema)
    found = []
    for name, field in schema["properties"].items():
        plain = _of_text(field)
        reference = plain.get("$ref", "").rpartition("/")[2]
        if reference:  # what no answer has
            plain = {key: value for key, value in definitions[reference].items() if key != "title"}
        parameter = {"name": name, "in": "query", "required": name in schema.get("required", [])}
        if description := field.get("description"):
            parameter["description"] = description
        parameter["allowEmptyValue"] = True  # as if it were absent
        parameter["schema"] = {key: value for key, value in plain.items() if key != "description"}
        found.append(parameter)
    return found


class _Untitled(GenerateJsonSchema):
    """Without titles that only say a field's name once more."""

    def field_title_should_be_set(self, schema: CoreSchema | Any) -> bool:  # noqa: ARG002  # pydantic's
        return False


def _mode(model: type[BaseModel]) -> JsonSchemaMode:
    return "validation" if issubclass(model, JsonBody | Fields) else "serialization"


def _of_text(field: dict[str, Any]) -> dict[str, Any]:
    """The schema of a value that comes as text, where what is not there is left out and never ``null``."""
    plain = dict(field)
    kinds = plain.pop("anyOf", None)
    if kinds is not None:
        kinds = [kind for kind in kinds if kind != {"type": "null"}]
        plain = {**plain, **kinds[0]} if len(kinds) == 1 else {**plain, "anyOf": kinds}
    if plain.get("default", ...) is None:
        del plain["default"]
    return plain


def _tell_plainly(schema: Any) -> None:
    """Let descriptions be Markdown: docstrings mark code with two backquotes and break lines anywhere."""
    if isinstance(schema, list):
        for item in schema:
            _tell_plainly(item)
    elif isinstance(schema, dict):
        for key, value in schema.items():
            if key == "description" and isinstance(value, str):
                paragraphs = value.replace("``", "`").split("\n\n")
                schema[key] = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
            else:
                _tell_plainly(value)
