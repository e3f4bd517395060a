"""Authentication, sessions and rate limits, with their pages."""

from web.auth import account_pages, accounts_pages, sign_in_pages

__all__ = ["account_pages", "accounts_pages", "sign_in_pages"]
