"""The Flask app."""

from __future__ import annotations

from flask import Flask

from web import services as service
from web import spans
from web.api import api, probes
from web.auth import authentication, sessions
from web.http import csrf, hosts_and_headers, parsing, request_log
from web.http import errors as problems
from web.i18n import locale
from web.jobs.submission import FORM_BYTES, MAX_FORM_PARTS
from web.monitoring import health, metrics
from web.pages import pages
from yeban.settings import Settings

# Room for the labels of a request; its text may take twelve bytes a character ("\ud83d\ude00").
_JSON_BYTES = 2**20
_JSON_BYTES_A_CHAR = 12


def create_app(settings: Settings, database_url: str, redis_url: str) -> Flask:
    """Make the app. Nothing is connected until a request needs it.

    Raises :class:`~yeban.errors.ConfigurationError` for a malformed URL.
    """
    app = Flask("web")
    app.request_class = parsing.Request
    app.config.update(
        MAX_CONTENT_LENGTH=_JSON_BYTES + _JSON_BYTES_A_CHAR * settings.max_text_chars,
        MAX_FORM_MEMORY_SIZE=FORM_BYTES,
        MAX_FORM_PARTS=MAX_FORM_PARTS,
    )
    services = service.open_services(settings, database_url, redis_url)
    service.install(app.extensions, services)
    health.install(app.extensions, services)
    metrics.install(app.extensions, services)
    spans.install(app)
    request_log.install(app)
    hosts_and_headers.install(app, settings)
    sessions.install(app, settings)
    authentication.install(app, settings, redis_url)
    csrf.install(app)
    locale.install(app)
    problems.install(app)
    parsing.install(app, settings)
    for blueprint in (api, probes, pages):
        app.register_blueprint(blueprint)
    return app
