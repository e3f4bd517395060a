"""The HTTP API, version 1. ``docs/api.md`` describes it."""

from web.api import classify, corrections, jobs, labelsets, results, status
from web.api.blueprint import api, probes

__all__ = ["api", "classify", "corrections", "jobs", "labelsets", "probes", "results", "status"]
