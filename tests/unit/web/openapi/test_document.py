"""The API's description of itself: valid, whole, and true to its own examples."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from flask import Flask, Response
from schemathesis.specs.openapi.definitions import OPENAPI_31

from tests.fixtures.conformance import Conformance, validator
from web.app import create_app
from web.openapi.document import GROUPS, build, with_limits
from web.openapi.documentation import documentation_of
from yeban.errors import Conflict, ServiceUnavailable, YebanError, error_classes, msg
from yeban.settings import Settings

_DOCS = (Path(__file__).resolve().parents[4] / "docs" / "api.md").read_text(encoding="utf-8")
_DATABASE_URL, _REDIS_URL = "postgresql://127.0.0.1:1/none", "redis://127.0.0.1:1/0"
#: Schemas whose members are not all told: facts of a problem, and OpenAPI's own.
_OPEN = {"Problem", "ApiDescription"}


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> Flask:
    return create_app(Settings(data_dir=tmp_path_factory.mktemp("data")), _DATABASE_URL, _REDIS_URL)


@pytest.fixture(scope="module")
def document(app) -> dict[str, Any]:
    return json.loads(json.dumps(build(app)))


def _operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]


def _contents(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for route, operation in _operations(document):
        found += [(route, content) for content in operation.get("requestBody", {}).get("content", {}).values()]
        for status, response in operation["responses"].items():
            found += [(f"{route} {status}", content) for content in response.get("content", {}).values()]
    return found


def test_it_is_an_openapi_document(document):
    jsonschema_rs.Draft202012Validator(OPENAPI_31).validate(document)


def test_every_schema_is_one_of_json_schema_2020_12(document):
    schemas = [*document["components"]["schemas"].values(), *(content["schema"] for _, content in _contents(document))]
    for schema in schemas:
        jsonschema_rs.meta.validate({**schema, "$schema": "https://json-schema.org/draft/2020-12/schema"})


def test_it_is_answered_without_any_server(app, document):
    response = app.test_client().get("/api/v1/openapi.json")
    assert (response.status_code, response.content_type) == (200, "application/json")
    assert response.json == with_limits(document, app.extensions["yeban"].settings)


def test_it_has_the_routes_that_the_page_for_people_lists(document):
    listed = set(re.findall(r"^\| `((?:GET|POST|PUT|PATCH|DELETE) [^`]+)` \|", _DOCS, re.MULTILINE))
    assert {re.sub(r"\{(job|label_set)_id\}", "{id}", route) for route, _ in _operations(document)} == listed


def test_every_route_of_the_api_tells_what_it_does(app):
    silent = [
        rule.rule
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/") and documentation_of(app.view_functions[rule.endpoint]) is None
    ]
    assert silent == []


def test_a_route_that_tells_nothing_is_refused(tmp_path):
    other = create_app(Settings(data_dir=tmp_path), _DATABASE_URL, _REDIS_URL)
    other.view_functions["api.list_models"] = lambda: "models"
    with pytest.raises(LookupError, match=r"/api/v1/models is not documented"):
        build(other)


def test_operations_have_names_of_their_own_and_known_groups(document):
    operations = [operation for _, operation in _operations(document)]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert {"pause_job", "resume_job", "cancel_job"} <= set(names)
    assert {group for operation in operations for group in operation["tags"]} == {
        tag["name"] for tag in document["tags"]
    }
    assert all(operation["summary"] for operation in operations)
    assert {tag["name"] for tag in document["tags"]} <= set(GROUPS)


def test_examples_are_what_their_schemas_say(document):
    shown = [(where, content) for where, content in _contents(document) if "example" in content]
    assert len(shown) > 20
    for where, content in shown:
        example = content["example"]
        if where == "POST /api/v1/jobs":
            example = {**example, "file": "id,text\n1,a\n"}
        errors = [error.message for error in validator(document, content["schema"]).iter_errors(example)]
        assert errors == [], where


def test_every_answer_in_json_has_an_example(document):
    without = [
        f"{route} {status}"
        for route, operation in _operations(document)
        for status, response in operation["responses"].items()
        for kind, content in response.get("content", {}).items()
        if kind == "application/json" and "example" not in content
    ]
    assert without == ["GET /api/v1/openapi.json 200"]


def test_no_answer_has_a_field_that_is_not_told(document):
    for name, schema in document["components"]["schemas"].items():
        if schema.get("type") == "object" and name not in _OPEN:
            assert schema["additionalProperties"] is False, name


def test_every_schema_is_used(document):
    whole = json.dumps(document)
    for name in document["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in whole, name


def test_every_name_referred_to_is_there(document):
    whole = json.dumps(document)
    for kind, name in re.findall(r'"#/components/(\w+)/([\w.-]+)"', whole):
        assert name in document["components"][kind], name


def test_it_has_every_code_and_no_other(document):
    listed = set(re.findall(r"^\| `(\w+)` \| \d{3} \|", _DOCS, re.MULTILINE))
    codes = set(document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"])
    assert set(error_classes()) <= codes
    assert listed <= codes
    assert codes <= listed


def test_problems_are_those_that_a_route_can_have(document):
    codes = {
        name: {
            code
            for response in operation["responses"].values()
            if "application/problem+json" in response.get("content", {})
            for code in response["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]["code"][
                "enum"
            ]
        }
        for _, operation in _operations(document)
        for name in [operation["operationId"]]
    }
    assert {"not_found", "conflict"} <= codes["pause_job"]
    assert {"malformed", "too_large", "unsupported_media_type", "invalid_request", "no_answer"} <= codes[
        "classify_text"
    ]
    assert "not_found" not in codes["index_jobs"]
    assert "invalid_table" in codes["create_job"]
    assert "invalid_table" not in codes["correct"]
    assert "unauthorized" in codes["show_job"]
    assert "unauthorized" not in codes["alive"]


def test_a_problem_that_passes_by_itself_says_when(document):
    for route, operation in _operations(document):
        for status, response in operation["responses"].items():
            if status in {"429", "503"} and "application/problem+json" in response["content"]:
                assert "Retry-After" in response["headers"], route


def test_an_upload_is_a_form_with_a_file(document):
    (kind,) = document["paths"]["/api/v1/jobs"]["post"]["requestBody"]["content"]
    form = document["paths"]["/api/v1/jobs"]["post"]["requestBody"]["content"][kind]["schema"]
    assert kind == "multipart/form-data"
    assert form["required"] == ["file"]
    file = form["properties"]["file"]
    assert (file["type"], file["format"], file["contentMediaType"]) == ("string", "binary", "application/octet-stream")
    assert form["properties"]["threshold"]["type"] == "number"


def test_queries_tell_their_limits(document):
    limit, cursor, state, name = document["paths"]["/api/v1/jobs"]["get"]["parameters"]
    assert (limit["name"], limit["in"], limit["required"]) == ("limit", "query", False)
    assert limit["schema"] == {"default": 50, "maximum": 200, "minimum": 1, "type": "integer"}
    assert cursor["schema"] == {"type": "string"}
    assert "running" in state["schema"]["enum"]
    assert name["schema"] == {"default": "", "maxLength": 200, "type": "string"}


def test_accounts_are_told_where_they_matter(document):
    assert document["security"] == [{}, {"token": []}]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert document["paths"]["/healthz"]["get"]["security"] == []
    assert "security" not in document["paths"]["/api/v1/jobs"]["get"]


@pytest.mark.parametrize(
    ("answer", "noticed"),
    [
        (lambda: _answered({"default": "e5-small", "models": []}), False),
        (lambda: _answered({"default": "e5-small", "models": [], "more": 1}), True),
        (lambda: _answered({"default": "e5-small"}), True),
        (lambda: _answered({"default": 1, "models": []}), True),
        (lambda: _answered({}, 418), True),
        (lambda: Response("{}", content_type="text/plain"), True),
        (lambda: _raise(Conflict(msg("x"))), True),
        (lambda: _raise(ServiceUnavailable(msg("x"))), False),
    ],
)
def test_the_tests_notice_an_answer_that_is_not_as_described(tmp_path, answer, noticed):
    app = create_app(Settings(data_dir=tmp_path), _DATABASE_URL, _REDIS_URL)
    answers = Conformance(app)
    app.view_functions["api.list_models"] = _told_as(app.view_functions["api.list_models"], answer)
    app.test_client().get("/api/v1/models")
    assert bool(answers.problems) is noticed, answers.problems


def _told_as(view: Any, answer: Callable[[], Any]) -> Any:
    """``answer`` with what is told of ``view``."""
    return functools.update_wrapper(answer, view)


def _answered(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value), status, content_type="application/json")


def _raise(error: YebanError) -> None:
    raise error
