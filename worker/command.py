"""``yeban worker``: one worker process."""

from __future__ import annotations

import signal

import click

from yeban.errors import ConfigurationError, EngineUnavailable
from yeban.runtime.programs import ROLES, Role
from yeban.runtime.servers import find_endpoints
from yeban.settings import get_settings
from yeban.telemetry.logs import configure_logging, log_uncaught


@click.command()
@click.option("--role", type=click.Choice(ROLES), required=True, help="Queue to serve.")
def worker(role: Role) -> int:
    """Run one worker, for jobs (bulk) or single texts (interactive)."""
    from worker.lifecycle import WorkerProcess  # noqa: PLC0415 - heavy

    # Until Celery handles signals, a stop must not wait for native code such as the model's compilation.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    settings = get_settings()
    configure_logging(settings.log_level, settings.log_format)
    log_uncaught()
    try:
        return WorkerProcess(role, settings, find_endpoints(settings)).run()
    except EngineUnavailable as error:
        raise ConfigurationError(error.message) from error  # a restart does not install the engine
