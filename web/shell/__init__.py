"""The frame around every page: filters, navigation, preferences."""

from web.shell import filters, preferences
from web.shell.api_docs import page

__all__ = ["filters", "page", "preferences"]
