"""The pages in the head of every page."""

from __future__ import annotations

from flask_babel import gettext as _

from web.blueprints import pages


@pages.app_template_global()
def navigation() -> list[tuple[str, str]]:
    """Endpoints and names, in order."""
    return [
        ("pages.classify", _("Classify")),
        ("pages.upload", _("Upload")),
        ("pages.index_jobs", _("Jobs")),
        ("pages.index_label_sets", _("Label sets")),
        ("pages.show_api_docs", _("API")),
    ]
