"""The command group: what every subcommand shares."""

from __future__ import annotations

import sys
from typing import Any

import click

from yeban import __version__
from yeban.cli import classify, doctor, jobs, models, serving, tag
from yeban.cli.exits import Exit, status_of
from yeban.errors import YebanError
from yeban.logs import configure_logging

_HELP = {"help_option_names": ["-h", "--help"]}


class _Group(click.Group):
    """Turns the errors a user can meet into one line on standard error and a documented status."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except YebanError as error:
            click.echo(f"yeban: {error.detail}", err=True)
            ctx.exit(status_of(error))
        except KeyboardInterrupt:
            click.echo("yeban: stopped", err=True)
            ctx.exit(Exit.CANCELLED)


@click.group(cls=_Group, context_settings=_HELP)
@click.version_option(__version__, prog_name="yeban")
def main() -> None:
    """Tag support tickets with labels you make up, without training.

    \b
    Exit status:
      0    done; every row is tagged, or abstained below the threshold
      1    a defect of Yeban
      2    bad arguments, labels, template, settings or file
      3    done and written, but some rows could not be scored
      4    the job failed or expired
      5    a server, worker, model or engine is missing or does not answer
      6    no such job, or its state does not allow this
      130  stopped by Ctrl-C; what was done is kept
    """
    configure_logging("WARNING")
    for stream in (sys.stdout, sys.stderr):
        # Labels are Chinese; a terminal with another locale must not end in a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


for command in (
    tag.tag,
    classify.classify,
    jobs.job,
    models.models,
    serving.up,
    serving.web,
    serving.worker,
    serving.migrate,
    doctor.doctor,
):
    main.add_command(command)
