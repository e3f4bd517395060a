"""The pages for people, rendered here; they work without JavaScript."""

from web.pages import classify, filters, jobs, labelsets, navigation, preferences, review, snippets, upload
from web.pages.blueprint import pages

__all__ = [
    "classify",
    "filters",
    "jobs",
    "labelsets",
    "navigation",
    "pages",
    "preferences",
    "review",
    "snippets",
    "upload",
]
