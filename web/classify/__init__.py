"""Single texts: the service behind them, API and page."""

from web.classify import api, pages, snippets

__all__ = ["api", "pages", "snippets"]
