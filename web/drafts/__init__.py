"""Uploaded files that wait for their options, and their pages."""

from web.drafts import pages, upload_page

__all__ = ["pages", "upload_page"]
