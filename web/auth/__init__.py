"""Authentication, sessions and rate limits, with their pages."""
