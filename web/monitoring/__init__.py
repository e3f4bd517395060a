"""Health, metrics and the models that live workers serve."""

from web.monitoring import api

__all__ = ["api"]
