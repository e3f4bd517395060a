"""The frame around every page: filters, navigation, preferences."""

from web.shell import api_docs_page, filters, preferences

__all__ = ["api_docs_page", "filters", "preferences"]
