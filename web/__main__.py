"""``python -m web``: serve the pages and the API."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from web.app import create_app
from web.auth.first_account import make_first_account
from web.http.hosts_and_headers import check_listen_address
from web.server.gunicorn import WebServer
from yeban.errors import ConfigurationError
from yeban.runtime.programs import EXIT_MISCONFIGURED
from yeban.runtime.servers import find_endpoints
from yeban.settings import load_settings
from yeban.telemetry import tracing
from yeban.telemetry.logs import configure_logging, log_uncaught


def main() -> int:
    """Run until stopped; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m web", description="Serve Yeban's pages and API.")
    parser.add_argument("--host", help="address to listen on (YEBAN_HOST)")
    parser.add_argument("--port", type=int, help="port to listen on, 0 for a free one (YEBAN_PORT)")
    parser.add_argument("--ready-file", type=Path, help='file to write {"url": …} to, once listening')
    options = parser.parse_args()
    given: dict[str, Any] = {"host": options.host, "port": options.port}
    try:
        settings = load_settings(**{name: value for name, value in given.items() if value is not None})
        configure_logging(settings.log_level, settings.log_format)
        log_uncaught()
        check_listen_address(settings)
        tracing.check(settings)
        endpoints = find_endpoints(settings)
        urls = endpoints.database_url, endpoints.redis_url
        create_app(settings, *urls)  # a malformed URL ends it here, and not in every process
        if settings.accounts:
            make_first_account(settings, endpoints.database_url)
    except ConfigurationError as error:
        print(error.detail, file=sys.stderr)  # noqa: T201
        return EXIT_MISCONFIGURED
    WebServer(settings, lambda: create_app(settings, *urls), options.ready_file).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
