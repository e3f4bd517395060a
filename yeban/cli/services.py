"""``yeban up`` and ``yeban migrate``."""

from __future__ import annotations

import time

import click

from yeban.cli.connection import database_url
from yeban.database.migrations import migrate as migrate_database
from yeban.runtime.stack import run_stack
from yeban.settings import get_settings
from yeban.telemetry.logs import configure_logging


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the web pages and the API; 0 picks a free one.")
def up(port: int | None) -> None:
    """Start everything on this machine and serve until Ctrl-C.

    Servers named by YEBAN_DATABASE_URL and YEBAN_REDIS_URL are used; those not named are started from the bundle.
    """
    settings = get_settings()
    configure_logging(settings.log_level, settings.log_format)
    click.echo("Starting (the first time builds the model)…", err=True)
    with run_stack(settings, port=port) as stack:
        click.echo(f"Yeban is ready: {stack.url}  (logs in {stack.logs}; Ctrl-C stops it)", err=True)
        try:
            while True:
                time.sleep(1.0)
                stack.check()
        except KeyboardInterrupt:  # also SIGTERM: the ordinary end
            click.echo("Stopping…", err=True)


@click.command()
@click.option("--revision", default="head", show_default=True, help="Schema revision to go to.")
def migrate(revision: str) -> None:
    """Migrate the database schema."""
    with database_url(get_settings()) as url:
        migrate_database(url, revision)
    click.echo(f"The database is at {revision}.")
