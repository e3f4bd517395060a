"""``yeban backup`` and ``yeban restore``."""

from __future__ import annotations

from pathlib import Path

import click

from yeban.cli.connection import database_url
from yeban.maintenance.backup import backup as write_backup
from yeban.maintenance.backup import restore as read_backup
from yeban.runtime.parameters import INPUT, OUTPUT
from yeban.settings import get_settings


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

    Unfinished jobs continue."""
    with database_url(get_settings()) as url:
        jobs = read_backup(url, file)
    click.echo(f"Restored {jobs:,} jobs.")
