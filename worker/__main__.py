"""``python -m worker --role bulk|interactive``: one worker process (the `yeban worker` command runs this)."""

from __future__ import annotations

import sys

import click

from worker.lifecycle import WorkerProcess
from yeban.errors import ConfigurationError, EngineUnavailable, UnknownModel, YebanError
from yeban.runtime.programs import EXIT_MISCONFIGURED, ROLES, Role
from yeban.runtime.servers import find_endpoints
from yeban.settings import get_settings
from yeban.telemetry.logs import configure_logging, log_uncaught

#: What starting again does not mend.
_FOR_A_PERSON = (ConfigurationError, EngineUnavailable, UnknownModel)


@click.command()
@click.option("--role", type=click.Choice(ROLES), required=True, help="Which queue to serve.")
def main(role: Role) -> None:
    """Serve one queue until stopped."""
    try:
        settings = get_settings()
        configure_logging(settings.log_level, settings.log_format)
        log_uncaught()
        status = WorkerProcess(role, settings, find_endpoints(settings)).run()
    except YebanError as error:
        click.echo(f"yeban: {error.detail}", err=True)
        status = EXIT_MISCONFIGURED if isinstance(error, _FOR_A_PERSON) else 1
    sys.exit(status)


if __name__ == "__main__":
    main()
