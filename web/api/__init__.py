"""The HTTP API, version 1. ``docs/api.md`` describes it."""

from web.api import (  # noqa: F401  # each hangs its routes on the blueprint
    accuracy,
    classify,
    corrections,
    description,
    jobs,
    labelsets,
    results,
    status,
    webhooks,
)
from web.api.blueprint import api, probes

__all__ = ["api", "probes"]
