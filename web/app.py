"""The Flask app."""

from __future__ import annotations

from http import HTTPStatus

from flask import Flask, Response

from web import edge, health, observed, problems, requestlog, security, spans
from web import services as service
from web.api import api, probes
from web.pages import pages
from web.uploads import FORM_BYTES, MAX_FORM_PARTS
from yeban.settings import Settings

#: Answers that are given before the request's body is read.
_BODY_UNREAD = frozenset({HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.TOO_MANY_REQUESTS})

# Room for the labels of a request; its text may take twelve bytes a character ("\ud83d\ude00").
_JSON_BYTES = 2**20
_JSON_BYTES_A_CHAR = 12


def create_app(settings: Settings, database_url: str, redis_url: str) -> Flask:
    """Make the app. Nothing is connected until a request needs it.

    Raises :class:`~yeban.errors.ConfigurationError` for a malformed URL.
    """
    app = Flask("web")
    app.request_class = edge.Request
    app.config.update(
        MAX_CONTENT_LENGTH=_JSON_BYTES + _JSON_BYTES_A_CHAR * settings.max_text_chars,
        MAX_FORM_MEMORY_SIZE=FORM_BYTES,
        MAX_FORM_PARTS=MAX_FORM_PARTS,
    )
    services = service.open_services(settings, database_url, redis_url)
    service.install(app.extensions, services)
    health.install(app.extensions, services)
    observed.install(app.extensions, services)
    spans.install(app)
    requestlog.install(app)
    security.install(app, settings)
    problems.install(app)
    app.after_request(_drain_if_refused)
    for blueprint in (api, probes, pages):
        app.register_blueprint(blueprint)
    return app


def _drain_if_refused(response: Response) -> Response:
    return edge.drain_later(response) if response.status_code in _BODY_UNREAD else response
