"""The pages for people, rendered here; they work without JavaScript."""

from web.pages import classify, drafts, filters, jobs, navigation, preferences, review, upload
from web.pages.blueprint import pages

__all__ = [
    "classify",
    "drafts",
    "draftview",
    "filters",
    "jobs",
    "navigation",
    "pages",
    "preferences",
    "review",
    "upload",
]
