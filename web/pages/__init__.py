"""The pages for people, rendered here; they work without JavaScript."""

from web.blueprints import pages
from web.pages import (  # noqa: F401  # each hangs its routes on the blueprint
    account,
    accounts,
    accuracy,
    apidocs,
    classify,
    drafts,
    figures,
    filters,
    jobs,
    labelsets,
    navigation,
    preferences,
    review,
    signin,
    snippets,
    statenames,
    upload,
    webhooks,
)

__all__ = ["pages"]
