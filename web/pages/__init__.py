"""The pages for people, rendered here; they work without JavaScript."""

from web.auth import account_pages, accounts_pages, sign_in_pages  # noqa: F401  # each hangs its routes on the blueprint
from web.blueprints import pages
from web.classify import pages as classify  # noqa: F401  # each hangs its routes on the blueprint
from web.classify import snippets
from web.drafts import pages as drafts  # noqa: F401  # each hangs its routes on the blueprint
from web.drafts import upload_page
from web.jobs import pages as jobs  # noqa: F401  # each hangs its routes on the blueprint
from web.jobs import state_labels
from web.label_sets import pages as labelsets  # noqa: F401  # each hangs its routes on the blueprint
from web.pages import figures, navigation
from web.results import accuracy_pages, review_pages
from web.shell import api_docs_page, filters, preferences
from web.webhooks import pages as webhooks

__all__ = ["pages"]
