"""``yeban migrate``, ``yeban backup`` and ``yeban restore``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from yeban.database.migrations import migrate as migrate_database
from yeban.maintenance.backup import backup as write_backup
from yeban.maintenance.backup import restore as read_backup
from yeban.runtime.parameters import INPUT, OUTPUT
from yeban.runtime.servers import open_servers, running_endpoints
from yeban.settings import Settings, get_settings


@contextmanager
def database_url(settings: Settings) -> Iterator[str]:
    """The URL of the configured or running database, or of one started for the block."""
    endpoints = running_endpoints(settings)
    if endpoints is not None:
        yield endpoints.database_url
    else:
        with open_servers(settings) as started:
            yield started.database_url


@click.command()
@click.option("--revision", default="head", show_default=True, help="Target revision of the schema.")
def migrate(revision: str) -> None:
    """Migrate the database schema."""
    with database_url(get_settings()) as url:
        migrate_database(url, revision)
    click.echo(f"The database is at {revision}.")


@click.command()
@click.argument("file", type=OUTPUT)
def backup(file: Path) -> None:
    """Back up the database to FILE while the servers run."""
    with database_url(get_settings()) as url:
        write_backup(url, file)
    click.echo(f"Written to {file} ({file.stat().st_size / 2**20:,.1f} MiB).")


@click.command()
@click.argument("file", type=INPUT)
def restore(file: Path) -> None:
    """Restore a backup from FILE to a database without jobs.

    Unfinished jobs continue.
    """
    with database_url(get_settings()) as url:
        jobs = read_backup(url, file)
    click.echo(f"Restored {jobs:,} jobs.")
