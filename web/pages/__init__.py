"""The pages for people, rendered here; they work without JavaScript."""

from web.pages import accuracy, classify, figures, filters, jobs, navigation, preferences, review, statenames, upload
from web.pages.blueprint import pages

__all__ = [
    "accuracy",
    "classify",
    "figures",
    "filters",
    "jobs",
    "navigation",
    "pages",
    "preferences",
    "review",
    "statenames",
    "upload",
]
