"""The pages for people, rendered here; they work without JavaScript."""

from web.pages import classify, filters, jobs, review, upload
from web.pages.blueprint import pages

__all__ = ["classify", "filters", "jobs", "pages", "review", "upload"]
