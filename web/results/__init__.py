"""Results, corrections and accuracy over HTTP."""

from web.results import accuracy_api, accuracy_pages, api, corrections_api, review_pages

__all__ = ["accuracy_api", "accuracy_pages", "api", "corrections_api", "review_pages"]
