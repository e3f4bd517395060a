"""``yeban probe``: health checks for containers and supervisors.

They run every few seconds, so this module imports nothing heavy.
"""

from __future__ import annotations

import http.client
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import click

from yeban import __version__
from yeban.cli.exit_codes import Exit
from yeban.errors import ConfigurationError, msg
from yeban.runtime.local_url import local_url
from yeban.settings import get_settings

_HEALTH_PATH = "/healthz"


@click.group()
def probe() -> None:
    """Check the health of one program.

    Prints one line with the reason. The exit status is 0 if the program is healthy and 1 if not."""


@probe.command()
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Heartbeat file (YEBAN_HEARTBEAT_FILE).",
)
@click.option(
    "--max-age-s",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Longest time since the last heartbeat, in seconds.",
)
def worker(path: Path | None, max_age_s: float) -> int:
    """Check the age of a worker's heartbeat file."""
    path = path or get_settings().heartbeat_file
    if path is None:
        raise ConfigurationError(msg("There is no heartbeat file to check. Set YEBAN_HEARTBEAT_FILE, or pass --file."))
    try:
        age_s = max(0.0, time.time() - path.stat().st_mtime)
    except FileNotFoundError:
        return _unhealthy(f"no heartbeat: {path} does not exist; the worker has not started or has stopped")
    except OSError as error:
        return _unhealthy(f"no heartbeat: {path} cannot be read: {error.strerror}")
    if age_s > max_age_s:
        return _unhealthy(f"the last heartbeat is {age_s:.0f} s old; at most {max_age_s:g} s are allowed")
    return _healthy(f"the last heartbeat is {age_s:.1f} s old")


@probe.command()
@click.option("--server", help="URL of the server; by default YEBAN_HOST and YEBAN_PORT.")
@click.option(
    "--timeout-s",
    type=click.FloatRange(min=0, min_open=True),
    default=3.0,
    show_default=True,
    help="Longest time to an answer, in seconds.",
)
def web(server: str | None, timeout_s: float) -> int:
    """Request /healthz of a web server."""
    settings = get_settings()
    url = (server or local_url(settings.host, settings.port)).rstrip("/") + _HEALTH_PATH
    if not url.startswith(("http://", "https://")):
        raise click.UsageError(f"{server} is no URL; it begins with http:// or https://.")
    asked = Request(url, headers={"User-Agent": f"yeban-probe/{__version__}"})  # noqa: S310 - see above
    try:
        with build_opener(ProxyHandler({})).open(asked, timeout=timeout_s) as answer:
            return _healthy(f"{url} answered {answer.status}")
    except HTTPError as error:
        return _unhealthy(f"{url} answered {error.code}")
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return _unhealthy(f"{url} does not answer: {reason or type(error).__name__}")


def _healthy(reason: str) -> int:
    click.echo(f"ok: {reason}")
    return Exit.OK


def _unhealthy(reason: str) -> int:
    click.echo(f"unhealthy: {reason}")
    return Exit.INTERNAL
