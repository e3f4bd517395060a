"""The ``yeban`` command group."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from yeban import __version__
from yeban.cli.exit_codes import Exit, status_of
from yeban.cli.interrupts import interrupt_on_sigterm
from yeban.errors import ConfigurationError, YebanError
from yeban.runtime.programs import require_extras
from yeban.settings import get_settings
from yeban.telemetry.logs import configure_logging

_HELP = {"help_option_names": ["-h", "--help"]}

# Import path and summary of each command. Only the requested command is imported, since some need heavy libraries.
_COMMANDS = {
    "account": ("yeban.cli.accounts:account", "Manage user accounts."),
    "backup": ("yeban.cli.database:backup", "Back up the database to FILE while the servers run."),
    "classify": ("yeban.cli.classify:classify", "Classify TEXT and show the probability of each label."),
    "doctor": ("yeban.cli.doctor:doctor", "Check this installation and suggest fixes."),
    "eval": ("worker.evaluation.command_line:evaluate_files", "Measure the accuracy of tags on labelled FILEs."),
    "job": ("yeban.cli.jobs:job", "Submit jobs to a running server and manage them."),
    "migrate": ("yeban.cli.database:migrate", "Migrate the database schema."),
    "models": ("worker.engine.models.commands:models", "List, build and check models."),
    "probe": ("yeban.cli.probe:probe", "Check the health of one program."),
    "restore": ("yeban.cli.database:restore", "Restore a backup from FILE to a database without jobs."),
    "tag": ("yeban.cli.tag:tag", "Tag FILE and write it back with its tags."),
    "up": ("yeban.cli.up:up", "Start everything on this machine and serve until Ctrl-C."),
    "web": ("web.command:web", "Run one web server, for the pages and the API."),
    "worker": ("worker.command:worker", "Run one worker, for jobs (bulk) or single texts (interactive)."),
}
_EXTRAS = {"web", "worker"}


class _Group(click.Group):
    """Finds commands, and turns errors into one line on standard error and a documented exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        require_extras(*_EXTRAS & {module.partition(".")[0]})
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])

    def main(  # type: ignore[override]  # one signature for its two overloads
        self, args: Sequence[str] | None = None, *, standalone_mode: bool = True, **extra: Any
    ) -> Any:
        if not standalone_mode:
            return super().main(args, standalone_mode=False, **extra)
        sys.exit(self._run(args, extra))

    def _run(self, args: Sequence[str] | None, extra: dict[str, Any]) -> int:
        try:
            with interrupt_on_sigterm():
                return int(super().main(args, standalone_mode=False, **extra) or Exit.OK)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            return Exit.USAGE
        except click.ClickException as error:
            command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else None
            return _fail(error.format_message(), Exit.USAGE, hint=command and f"See {command} --help.")
        except YebanError as error:
            return _fail(error.detail, status_of(error))
        except (click.Abort, KeyboardInterrupt):
            return _fail("stopped", Exit.CANCELLED)
        except Exception as error:
            if sys.excepthook is not sys.__excepthook__:
                raise  # servers and workers log their defects
            if _debugging():
                traceback.print_exc()
            reason = " ".join(str(error).split())
            return _fail(
                f"unexpected {type(error).__name__}{f': {reason}' if reason else ''}",
                Exit.INTERNAL,
                hint="This is a defect of Yeban; YEBAN_LOG_LEVEL=DEBUG shows where.",
            )


def _fail(message: str, status: Exit, *, hint: str | None = None) -> Exit:
    click.echo(" ".join(filter(None, (f"yeban: {message}", hint))), err=True)
    return status


def _debugging() -> bool:
    try:
        return get_settings().log_level == logging.getLevelName(logging.DEBUG)
    except ConfigurationError:
        return False


@click.group(cls=_Group, context_settings=_HELP)
@click.version_option(__version__, prog_name="yeban")
def main() -> None:
    """Tag support tickets with labels you make up, without training.

    \b
    Exit status:
      0    finished; every row is tagged, or abstained below the threshold
      1    a defect of Yeban; from probe: unhealthy
      2    bad arguments, labels, template, settings or file
      3    finished and written, but some rows could not be scored
      4    the job failed or expired; finished rows are written
      5    a server, worker, model or engine is missing or does not answer
      6    no such job, or its state does not allow this
      130  stopped by Ctrl-C or cancelled; finished rows are written
    """
    configure_logging("WARNING")
    for stream in (sys.stdout, sys.stderr):
        # Printing Chinese labels must not fail on a terminal with another locale.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
