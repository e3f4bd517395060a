"""``yeban up``: all of Yeban on this machine."""

from __future__ import annotations

import time

import click

from yeban.runtime.stack import run_stack
from yeban.settings import get_settings
from yeban.telemetry.logs import configure_logging


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on, 0 for a free one (YEBAN_PORT).")
def up(port: int | None) -> None:
    """Start everything on this machine and serve until Ctrl-C.

    Uses the servers at YEBAN_DATABASE_URL and YEBAN_REDIS_URL, and starts bundled ones where they are unset.
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
        except KeyboardInterrupt:  # or SIGTERM
            click.echo("Stopping…", err=True)
