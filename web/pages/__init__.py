"""The pages for people, rendered here; they work without JavaScript."""

from web.pages import apidocs, classify, filters, jobs, navigation, preferences, review, upload
from web.pages.blueprint import pages

__all__ = ["apidocs", "classify", "filters", "jobs", "navigation", "pages", "preferences", "review", "upload"]
