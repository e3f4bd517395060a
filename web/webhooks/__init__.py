"""Webhooks over HTTP: API and pages."""
