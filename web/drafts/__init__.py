"""Uploaded files that wait for their options, and their pages."""
