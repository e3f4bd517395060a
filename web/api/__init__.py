"""The HTTP API, version 1. ``docs/api.md`` describes it."""

from web.api import accuracy, classify, corrections, jobs, results, status
from web.api.blueprint import api, probes

__all__ = ["accuracy", "api", "classify", "corrections", "jobs", "probes", "results", "status"]
