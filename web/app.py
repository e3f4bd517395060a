"""The Flask app."""

from __future__ import annotations

from flask import Flask

from web import auth, blueprints, classify, drafts, jobs, label_sets, monitoring, results, services, shell, webhooks
from web.auth import authentication, sessions
from web.http import csrf, errors, hosts_and_headers, parsing, request_log
from web.i18n import locale
from web.jobs.submission import FORM_BYTES, MAX_FORM_PARTS
from web.monitoring import health, metrics
from yeban.settings import Settings

#: Packages whose routes and template filters register on the blueprints when they are imported.
FEATURES = (auth, classify, drafts, jobs, label_sets, monitoring, results, shell, webhooks)

# Room for the labels of a request; its text may take twelve bytes a character ("\ud83d\ude00").
_JSON_BYTES = 2**20
_JSON_BYTES_A_CHAR = 12


def create_app(settings: Settings, database_url: str, redis_url: str) -> Flask:
    """Create the app. It connects on the first request that needs a server.

    Raises :class:`~yeban.errors.ConfigurationError` for a malformed URL.
    """
    app = Flask("web", static_folder=None)
    app.request_class = parsing.Request
    app.config.update(
        MAX_CONTENT_LENGTH=_JSON_BYTES + _JSON_BYTES_A_CHAR * settings.max_text_chars,
        MAX_FORM_MEMORY_SIZE=FORM_BYTES,
        MAX_FORM_PARTS=MAX_FORM_PARTS,
    )
    opened = services.open_services(settings, database_url, redis_url)
    for module in (services, health, metrics):
        module.install(app.extensions, opened)
    request_log.install(app)
    hosts_and_headers.install(app, settings)
    sessions.install(app, settings)
    authentication.install(app, settings, redis_url)
    csrf.install(app)
    locale.install(app)
    errors.install(app)
    blueprints.install(app)
    return app
