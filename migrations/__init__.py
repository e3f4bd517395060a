"""Alembic migrations of Yeban's schema."""
