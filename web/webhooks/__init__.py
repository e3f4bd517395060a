"""Webhooks over HTTP: API and pages."""

from web.webhooks import api, pages

__all__ = ["api", "pages"]
