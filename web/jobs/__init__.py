"""Jobs over HTTP: submission, API and pages."""

from web.jobs import api, pages, state_labels

__all__ = ["api", "pages", "state_labels"]
