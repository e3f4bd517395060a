"""Fixtures of the whole suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.fixtures.properties import register_profiles
from yeban.database.engine import Database
from yeban.database.migrations import migrate

register_profiles()

pytest_plugins = [
    "tests.fixtures.servers",
    "tests.fixtures.clusters",
    "tests.fixtures.command_line",
    "tests.fixtures.jobs",
    "tests.fixtures.models",
    "tests.fixtures.tls",
]


@pytest.fixture(scope="session")
def migrate_database() -> Callable[[str], None]:
    """The template database gets the real schema."""
    return migrate


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated, empty database of this test's own."""
    opened = Database(database_url, pool_size=10)
    yield opened
    opened.close()
