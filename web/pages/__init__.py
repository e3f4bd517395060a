"""The pages for people, rendered here; they work without JavaScript."""

from web.pages import classify, filters, jobs, navigation, preferences, review, upload, webhooks
from web.pages.blueprint import pages

__all__ = ["classify", "filters", "jobs", "navigation", "pages", "preferences", "review", "upload", "webhooks"]
