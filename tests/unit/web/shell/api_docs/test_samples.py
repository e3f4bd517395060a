"""Samples and types on the API's page."""

from __future__ import annotations

import ast
import re
import shlex

import pytest

from web.app import create_app
from web.openapi.document import build, with_limits
from web.shell.api_docs.page import breakable, code_spans
from web.shell.api_docs.samples import Operation, curl, program, python
from web.shell.api_docs.samples import operations as operations_of
from web.shell.api_docs.types import Part, type_of
from yeban.settings import Settings

BASE_URL = "http://127.0.0.1:8400"


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"))
    return build(create_app(settings, "postgresql://127.0.0.1:1/none", "redis://127.0.0.1:1/0"))


@pytest.fixture(scope="module")
def operations(document) -> dict[str, Operation]:
    return {operation.name: operation for operation in operations_of(document)}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "string"),
        ({"type": "string", "format": "uuid"}, "uuid"),
        ({"type": "string", "maxLength": 200}, "string, 0 to 200 characters"),
        ({"type": "string", "minLength": 1}, "string, not empty"),
        ({"type": "integer", "minimum": 1, "maximum": 50}, "integer, 1 to 50"),
        ({"type": "integer", "minimum": 1}, "integer, 1 or more"),
        ({"type": "array", "items": {"type": "string"}}, "list of strings"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Row"}}, "list of Row"),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, "number or null"),
        ({"enum": ["a", "b"]}, "a, b"),
        ({"const": "ok", "type": "string"}, "ok"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "object of integer"),
        ({"contentMediaType": "application/octet-stream"}, "file"),
        ({"type": "array", "prefixItems": [{"type": "number"}, {"type": "integer"}]}, "[number, integer]"),
        ({}, "anything"),
    ],
)
def test_types_are_told_in_words(schema, words):
    assert "".join(part.text for part in type_of(schema)) == words


def test_a_type_with_a_name_leads_to_its_schema():
    assert Part("Row", "Row") in type_of({"type": "array", "items": {"$ref": "#/components/schemas/Row"}})


@pytest.mark.parametrize("with_token", [False, True])
def test_samples_are_commands_and_programs(operations, with_token):
    for operation in operations.values():
        source = python(operation, BASE_URL, with_token=with_token)
        ast.parse(source)
        assert max(map(len, source.splitlines())) <= 120
        words = shlex.split(curl(operation, BASE_URL, with_token=with_token).replace("\\\n", " "))
        flags = "-sSf" if "-o" in words else "-s"
        assert words[:3] == ["curl", flags, BASE_URL + operation.example_path]
        assert ("YEBAN_TOKEN" in source) is ("Authorization: Bearer $YEBAN_TOKEN" in words) is with_token


def test_a_sample_quotes_whatever_is_in_it(operations):
    strange = "http://127.0.0.1:8400\"'$(x)"
    words = shlex.split(curl(operations["alive"], strange, with_token=False))
    assert words[2] == f"{strange}/healthz"
    calls = list(ast.walk(ast.parse(python(operations["alive"], strange, with_token=False))))
    assert strange in {node.value for node in calls if isinstance(node, ast.Constant)}


@pytest.mark.parametrize("with_token", [False, True])
def test_the_way_from_a_file_to_its_tags_is_a_program(with_token):
    source = program("upload.py.txt", 'http://127.0.0.1:8400"{x}', with_token=with_token)
    ast.parse(source)
    assert ("YEBAN_TOKEN" in source) is with_token
    assert ("YEBAN_TOKEN" in program("upload.sh.txt", BASE_URL, with_token=with_token)) is with_token


def test_limits_are_told_with_what_this_server_has(document, tmp_path):
    told = with_limits(document, Settings(data_dir=tmp_path, max_text_chars=1234))
    body = told["components"]["schemas"]["ClassifyBody"]["properties"]
    assert body["text"]["description"] == "At most 1,234 (`YEBAN_MAX_TEXT_CHARS`) characters, not blank."
    assert "YEBAN_" not in re.sub(r"[\d,]+ \(`YEBAN_[A-Z_]+`\)", "", str(told))
    assert "At most `YEBAN" in str(document), "what was given is as it was"


def test_a_path_is_copied_as_it_is():
    assert breakable("/api/v1/<a>") == "/<wbr>api/<wbr>v1/<wbr>&lt;a&gt;"


def test_code_between_backquotes_is_marked_and_nothing_slips_through():
    assert code_spans("a `b<c` <d>") == "a <code>b&lt;c</code> &lt;d&gt;"
