"""Label sets over HTTP: input, files, API and pages."""

from web.label_sets import api, pages

__all__ = ["api", "pages"]
