"""What must hold for every route and every error, whichever are added."""

from __future__ import annotations

import gc
import re
from pathlib import Path

import pytest
from flask import Flask

from web.app import create_app
from web.http.errors import ANSWERS, retry_after_s, status_of, title_of
from yeban.errors import Overloaded, ServiceUnavailable, UnknownColumn, YebanError, error_classes, error_from_code, msg
from yeban.settings import Settings

_DOCUMENT = (Path(__file__).resolve().parents[4] / "docs" / "api.md").read_text(encoding="utf-8")
_PAGES = {
    "GET /",
    "POST /",
    "GET /upload",
    "POST /upload",
    "GET /upload/{draft_id}",
    "POST /upload/{draft_id}",
    "POST /upload/{draft_id}/counts",
    "POST /upload/{draft_id}/discard",
    "POST /upload/{draft_id}/estimate",
    "POST /upload/{draft_id}/preview",
    "POST /upload/{draft_id}/try",
    "GET /jobs",
    "GET /jobs/{id}",
    "GET /jobs/{id}/live",
    "GET /jobs/{id}/findings",
    "POST /jobs/{id}/delete",
    "GET /jobs/{id}/accuracy",
    "GET /jobs/{id}/accuracy/rows",
    "POST /jobs/{id}/review/undo",
    "POST /jobs/{id}/cancel",
    "POST /jobs/{id}/pause",
    "POST /jobs/{id}/resume",
    "GET /jobs/{id}/review",
    "POST /jobs/{id}/review",
    "POST /preferences",
    "GET /docs/api",
    "GET /sign-in",
    "POST /sign-in",
    "POST /sign-out",
    "GET /account",
    "POST /account/password",
    "POST /account/sessions/end",
    "POST /account/tokens",
    "POST /account/tokens/{token_id}/revoke",
    "GET /accounts",
    "POST /accounts",
    "GET /accounts/{name}",
    "POST /accounts/{name}",
    "POST /accounts/{name}/password",
    "GET /webhooks",
    "POST /webhooks",
    "GET /webhooks/{webhook_id}",
    "POST /webhooks/{webhook_id}/delete",
    "POST /webhooks/{webhook_id}/rotate",
    "POST /webhooks/{webhook_id}/end-former",
    "POST /webhooks/{webhook_id}/test",
    "POST /webhooks/{webhook_id}/deliveries/{delivery_id}/retry",
    "GET /label-sets",
    "GET /label-sets/new",
    "POST /label-sets/new",
    "POST /label-sets/import",
    "GET /label-sets/{id}",
    "GET /label-sets/{id}/edit",
    "POST /label-sets/{id}/edit",
    "GET /label-sets/{id}/export.json",
    "GET /label-sets/{id}/versions/{version}",
    "POST /label-sets/{id}/delete",
    "POST /label-sets/{id}/rename",
    "POST /label-sets/{id}/restore",
    "GET /static/{filename}",
}
# What PostgreSQL and Redis would be asked is not asked here: nothing connects before a request.
_DATABASE_URL, _REDIS_URL = "postgresql://127.0.0.1:1/none", "redis://127.0.0.1:1/0"


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return create_app(Settings(data_dir=tmp_path), _DATABASE_URL, _REDIS_URL)


def _routes(app: Flask) -> set[str]:
    routes = set()
    for rule in app.url_map.iter_rules():
        choices = re.search(r"<any\(([^)]*)\):[^>]*>", rule.rule)
        paths = [rule.rule]
        if choices:
            paths = [rule.rule.replace(choices[0], choice.strip()) for choice in choices[1].split(",")]
        for path in paths:
            shown = re.sub(
                r"<(?:\w+:)?(\w+)>",
                lambda found: "{" + found[1].removeprefix("job_").removeprefix("label_set_") + "}",
                path,
            )
            routes |= {f"{method} {shown}" for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    return routes


def test_every_route_is_documented_or_a_page(app):
    documented = set(re.findall(r"^\| `((?:GET|POST|PUT|DELETE) [^`]+)` \|", _DOCUMENT, re.MULTILINE))
    assert _routes(app) == documented | _PAGES


def test_every_page_is_outside_the_api():
    assert not [page for page in _PAGES if page.partition(" ")[2].startswith("/api")]


def test_every_error_has_a_status_a_title_and_a_place_in_the_document():
    documented = dict(re.findall(r"^\| `(\w+)` \| (\d{3}) \|", _DOCUMENT, re.MULTILINE))
    classes = error_classes()
    assert set(ANSWERS) == set(classes.values())
    for code, error in classes.items():
        assert documented[code] == str(ANSWERS[error][0].value)


def test_codes_are_distinct():
    def all_classes(kind: type[YebanError]) -> list[type[YebanError]]:
        return [kind, *(found for child in kind.__subclasses__() for found in all_classes(child))]

    assert len(error_classes()) == len(all_classes(YebanError))


def test_an_error_goes_by_its_code_and_back():
    for code, kind in error_classes().items():
        error = error_from_code(code, "Something.")
        assert (type(error), error.detail, error.code) == (kind, "Something.", code)
    assert type(error_from_code("of a later version", "x")) is YebanError


def test_a_class_that_is_not_in_the_table_has_its_parents_status():
    class VeryUnknownColumn(UnknownColumn):
        pass

    assert status_of(VeryUnknownColumn) == 422
    assert title_of(VeryUnknownColumn) == title_of(UnknownColumn)
    del VeryUnknownColumn
    gc.collect()  # else the other tests would find it among the subclasses


def test_only_what_passes_by_itself_says_when_to_try_again():
    assert retry_after_s(Overloaded(msg("x"), retry_after_s=0.2)) == 1
    assert retry_after_s(ServiceUnavailable(msg("x"))) == 5
    assert retry_after_s(UnknownColumn(msg("x"))) is None


def test_creating_the_app_needs_no_server(app):
    assert app.test_client().get("/healthz").status_code == 200
