"""The Flask app."""

from __future__ import annotations

from flask import Flask

from web import blueprints
from web import services as service
from web.auth import account_pages, accounts_pages, authentication, sessions, sign_in_pages
from web.classify import api as classify_api
from web.classify import pages as classify_pages
from web.classify import snippets
from web.drafts import pages as draft_pages
from web.drafts import upload_page
from web.http import csrf, errors, hosts_and_headers, parsing, request_log
from web.i18n import locale
from web.jobs import api as jobs_api
from web.jobs import pages as jobs_pages
from web.jobs import state_labels
from web.jobs.submission import FORM_BYTES, MAX_FORM_PARTS
from web.label_sets import api as label_sets_api
from web.label_sets import pages as label_sets_pages
from web.monitoring import api as monitoring_api
from web.monitoring import health, metrics
from web.results import accuracy_api, accuracy_pages, corrections_api, review_pages
from web.results import api as results_api
from web.shell import api_docs_page, filters, preferences
from web.webhooks import api as webhooks_api
from web.webhooks import pages as webhooks_pages
from yeban.settings import Settings

#: Modules whose routes and template filters register on the blueprints when imported.
FEATURES = (
    account_pages,
    accounts_pages,
    sign_in_pages,
    classify_api,
    classify_pages,
    snippets,
    draft_pages,
    upload_page,
    jobs_api,
    jobs_pages,
    state_labels,
    label_sets_api,
    label_sets_pages,
    monitoring_api,
    accuracy_api,
    accuracy_pages,
    corrections_api,
    review_pages,
    results_api,
    api_docs_page,
    filters,
    preferences,
    webhooks_api,
    webhooks_pages,
)

# Room for the labels of a request; its text may take twelve bytes a character ("\ud83d\ude00").
_JSON_BYTES = 2**20
_JSON_BYTES_A_CHAR = 12


def create_app(settings: Settings, database_url: str, redis_url: str) -> Flask:
    """Make the app. Nothing is connected until a request needs it.

    Raises :class:`~yeban.errors.ConfigurationError` for a malformed URL.
    """
    app = Flask("web", static_folder=None)
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
    request_log.install(app)
    hosts_and_headers.install(app, settings)
    sessions.install(app, settings)
    authentication.install(app, settings, redis_url)
    csrf.install(app)
    locale.install(app)
    errors.install(app)
    parsing.install(app, settings)
    blueprints.install(app)
    return app
