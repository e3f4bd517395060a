"""The HTTP API, version 1. ``docs/api.md`` describes it."""

from web.api import classify, corrections, description, jobs, results, status
from web.api.blueprint import api, probes

__all__ = ["api", "classify", "corrections", "description", "jobs", "probes", "results", "status"]
