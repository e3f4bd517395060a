"""The HTTP API, version 1. ``docs/api.md`` describes it."""

from web.api import classify, corrections, jobs, results, status, webhooks
from web.api.blueprint import api, probes

__all__ = ["api", "classify", "corrections", "jobs", "probes", "results", "status", "webhooks"]
