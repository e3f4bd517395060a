"""``yeban web``: one web server."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from yeban.errors import ConfigurationError
from yeban.settings import Settings, load_settings
from yeban.telemetry.logs import configure_logging, log_uncaught

if TYPE_CHECKING:
    from flask import Flask

_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_FOLDER_PREFIX = "yeban-metrics-"


@click.command()
@click.option("--host", help="Address to listen on (YEBAN_HOST).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on, 0 for a free one (YEBAN_PORT).")
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help='File to write {"url": …} to once the server listens.',
)
def web(ready_file: Path | None, **given: str | int | None) -> None:
    """Run one web server, for the pages and the API."""
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    configure_logging(settings.log_level, settings.log_format)
    log_uncaught()
    _serve(settings, ready_file)


def _serve(settings: Settings, ready_file: Path | None) -> None:
    """Serve until stopped. Raises ``ConfigurationError``."""
    metrics_folder = _share_metrics(settings)
    try:
        # Only now, since prometheus-client looks for its folder when it is imported.
        from web.server.gunicorn import WebServer

        server = WebServer(settings, _check(settings), ready_file=ready_file, metrics_folder=metrics_folder)
    except ConfigurationError:
        if metrics_folder is not None:
            shutil.rmtree(metrics_folder)
        raise
    server.run()


def _check(settings: Settings) -> Callable[[], Flask]:
    """Check the configuration and return a function that makes the app. Raises ``ConfigurationError``."""
    from web.app import create_app
    from web.auth.first_account import make_first_account
    from web.http.hosts_and_headers import check_listen_address
    from yeban.runtime.servers import find_endpoints
    from yeban.telemetry import tracing

    check_listen_address(settings)
    tracing.check(settings)
    endpoints = find_endpoints(settings)
    urls = endpoints.database_url, endpoints.redis_url
    create_app(settings, *urls)  # reports a malformed URL once, not from every process
    if settings.accounts:
        make_first_account(settings, endpoints.database_url)
    return lambda: create_app(settings, *urls)


def _share_metrics(settings: Settings) -> Path | None:
    """Make the folder in which several web processes add up their metrics.

    Folders of killed servers are removed: they may lie in a temporary directory that is never emptied. The kernel holds
    a lock on a folder for as long as its server or one of its processes lives.
    """
    os.environ.pop(_FOLDER_VARIABLE, None)
    if settings.web_processes == 1:
        return None
    for path in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        with contextlib.suppress(OSError):  # the server lives, or the folder belongs to another account
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(lock).st_uid == os.geteuid():
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path)
            finally:
                os.close(lock)
    # Renamed once it is locked, so that no other server takes it for a leftover.
    draft = Path(tempfile.mkdtemp(prefix="yeban-new-metrics-"))
    fcntl.flock(os.open(draft, os.O_RDONLY), fcntl.LOCK_EX)
    folder = draft.rename(draft.with_name(f"{_FOLDER_PREFIX}{draft.name.rpartition('-')[2]}"))
    os.environ[_FOLDER_VARIABLE] = str(folder)
    return folder
