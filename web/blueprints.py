"""Blueprints that the features add their routes to."""

from __future__ import annotations

from flask import Blueprint, request

from web.http import csrf

pages = Blueprint("pages", __name__)
api = Blueprint("api", __name__, url_prefix="/api/v1")
#: Health checks and metrics, outside the API's version.
probes = Blueprint("probes", __name__)

#: Views that take large bodies, and so call :func:`web.http.csrf.protect` themselves, within their limits.
CHECKED_BY_VIEW = {
    "pages.upload_file",
    "pages.create_label_set",
    "pages.save_label_set",
    "pages.import_label_set",
    "pages.preview_draft",
    "pages.count_draft",
    "pages.estimate_draft",
    "pages.try_draft",
    "pages.start_draft",
}


@pages.before_request
def _protect() -> None:
    if request.method == "POST" and request.endpoint not in CHECKED_BY_VIEW:
        csrf.protect()
