"""Commands that are the worker's programs, since they need models, which this package may not import."""

from __future__ import annotations

import signal
import subprocess
import sys

import click

from yeban.cli.exit_codes import Exit
from yeban.runtime.programs import python_command
from yeban.runtime.stack import require_extras
from yeban.settings import get_settings


def hand_over(module: str, *arguments: str) -> int:
    """Run a program of the worker in our place and return its exit status; 5 for one that a signal ended.

    Raises ``ConfigurationError`` for bad settings and where the worker is not installed.
    """
    get_settings()
    require_extras("worker")
    sys.stdout.flush()
    # In a session of its own, so that Ctrl-C reaches us alone and we end it in order.
    with subprocess.Popen(python_command(module, *arguments), start_new_session=True) as process:
        try:
            status = process.wait()
        except KeyboardInterrupt:
            process.terminate()
            raise
    if status < 0:
        click.echo(f"yeban: the engine was ended by {signal.Signals(-status).name}", err=True)
        return Exit.UNAVAILABLE
    return status
