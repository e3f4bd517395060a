"""``yeban up``, and the single processes it is made of."""

from __future__ import annotations

import os
import sys
import time

import click

from yeban.cli.connection import database_url
from yeban.database.migrations import migrate as migrate_database
from yeban.runtime.programs import ROLES, python_command
from yeban.runtime.servers import find_endpoints
from yeban.runtime.stack import require_extras, run_stack
from yeban.settings import get_settings, load_settings
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
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on.")
def web(host: str | None, port: int | None) -> None:
    """Run the web server alone (pages and API)."""
    _become("web", host=host, port=port)


@click.command()
@click.option("--role", type=click.Choice(ROLES), required=True, help="Which queue to serve.")
def worker(role: str) -> None:
    """Run one worker: `bulk` tags jobs, `interactive` answers single texts."""
    _become("worker", "--role", role)


@click.command()
@click.option("--revision", default="head", show_default=True, help="Schema revision to go to.")
def migrate(revision: str) -> None:
    """Bring the database's schema up to date."""
    with database_url(get_settings()) as url:
        migrate_database(url, revision)
    click.echo(f"The database is at {revision}.")


def _become(module: str, *arguments: str, **overrides: str | int | None) -> None:
    """Replace this process by ``python -m module``: web and workers are programs of their own."""
    require_extras(module)
    given = {name: value for name, value in overrides.items() if value is not None}
    settings = load_settings(**given)
    find_endpoints(settings)
    environment = os.environ | {f"YEBAN_{name.upper()}": str(value) for name, value in given.items()}
    sys.stdout.flush()
    os.execve(sys.executable, python_command(module, *arguments), environment)  # noqa: S606  # no shell is wanted
