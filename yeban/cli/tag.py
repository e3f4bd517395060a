"""``yeban tag``: one file."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from yeban.cli import options
from yeban.cli.connection import open_client, reach_server
from yeban.cli.exit_codes import Exit
from yeban.cli.progress import Following
from yeban.cli.report import print_summary, summarise
from yeban.errors import InvalidRequest, msg
from yeban.labels import LabelSet
from yeban.runtime.parameters import INPUT, OUTPUT, as_json
from yeban.runtime.terminal import console, phase, print_json


@click.command()
@click.argument("file", type=INPUT)
@options.label_options
@options.table_options
@click.option("-o", "--output", type=OUTPUT, help="File to write: .csv, .xlsx or .jsonl.")
@options.server
@as_json
def tag(
    *,
    file: Path,
    label_set: LabelSet,
    fields: dict[str, str],
    output: Path | None,
    server: str | None,
    as_json: bool,
) -> None:
    """Tag FILE and write it back with its tags.

    FILE is CSV, TSV, XLSX or JSONL. The output has every column and row of FILE in order, then yeban_label,
    yeban_score, yeban_margin and yeban_status. It is NAME.tagged.csv beside FILE unless --output names another file.
    The command uses the given server or the one on this machine (`yeban up`), or starts its own and stops it at the
    end.

    Ctrl-C cancels the job and writes the finished rows; the status of the others is then pending.
    """
    output = output or file.with_name(f"{file.stem}.tagged.csv")
    format_ = options.output_format(output)
    options.check_output(output)
    if output.exists() and output.samefile(file):
        raise InvalidRequest(msg("The output would overwrite the input. Choose another --output."))
    screen = console(stderr=True)
    with ExitStack() as stack:
        with phase(screen, "Starting…"):
            reached = stack.enter_context(reach_server(server, model=fields.get("model"), say=screen.print))
        client = stack.enter_context(open_client(reached.url))
        following = Following(client, screen, reached.check)
        following.upload(file, {**options.label_fields(label_set), **fields})
        job = following.follow()
        with phase(screen, "Writing…"):
            following.download(format_, output)
        # Print before the servers stop, which takes seconds.
        summary = summarise(job, output)
        if as_json:
            print_json(summary)
        else:
            print_summary(summary, console())
        if job["state"] in {"failed", "expired"}:
            reason = job["error"] or "it did not finish before its deadline"
            click.echo(f"yeban: the job {job['state']}: {reason}; the finished rows are in {output}", err=True)
    click.get_current_context().exit(_status(job, stopped=following.stopped))


def _status(job: dict[str, Any], *, stopped: bool) -> Exit:
    match job["state"]:
        case "completed":
            return Exit.OK
        case "completed_with_errors":
            return Exit.ROW_ERRORS
        case "failed" | "expired" if not stopped:
            return Exit.JOB_FAILED
        case _:
            return Exit.CANCELLED
