"""``yeban tag``: tag one file and write it back with its tags."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from yeban.cli import options
from yeban.cli.exits import Exit
from yeban.cli.report import print_summary, summarise
from yeban.client import Client
from yeban.errors import Conflict, InvalidRequest

_POLL_S = 0.2
_POLL_MAX_S = 2.0
_ENDED = {"completed", "completed_with_errors", "cancelled", "failed", "expired"}


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@options.label_options
@click.option("--text-column", metavar="C", help="Column with the text (a name, or #N).")
@click.option("--gold-column", metavar="C", help="Column with the right label, to report accuracy.")
@click.option("--model", metavar="M", help="Model to use.")
@click.option("--encoding", metavar="E", help="Encoding of the file, where it is not detected right.")
@click.option("--delimiter", metavar="D", help="Delimiter of the file, where it is not detected right.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Where to write the result.")
@options.server
@options.as_json
def tag(
    *,
    file: Path,
    labels: options.Labels,
    text_column: str | None,
    gold_column: str | None,
    model: str | None,
    encoding: str | None,
    delimiter: str | None,
    output: Path | None,
    server: str | None,
    as_json: bool,
) -> None:
    """Tag FILE (CSV, TSV, XLSX or JSONL) and write it back with its tags.

    The result holds every column and row of FILE in order, then yeban_label, yeban_score, yeban_margin and
    yeban_status. Without --output it is written beside FILE, as NAME.tagged.csv. Uses the server given, or the
    one that runs on this machine (`yeban up`), or starts everything it needs and stops it afterwards.
    """
    output = output or file.with_name(f"{file.stem}.tagged.csv")
    format_ = options.output_format(output)
    if not output.parent.is_dir():
        raise InvalidRequest(f"The folder {output.parent} does not exist.")
    if output.exists() and output.samefile(file):
        raise InvalidRequest("The output would overwrite the input; choose another --output.")
    fields = labels.form() | {
        name: value
        for name, value in {
            "text_column": text_column,
            "gold_column": gold_column,
            "model": model,
            "encoding": encoding,
            "delimiter": delimiter,
        }.items()
        if value is not None
    }
    console = Console(stderr=True)
    with ExitStack() as stack:
        with console.status("Starting…"):
            reached = stack.enter_context(options.reach_server(server))
        client = stack.enter_context(Client(reached.url))
        with console.status("Reading the file…"):
            job = client.create_job(file, fields)
        job = _follow(client, job, console, reached.check)
        client.download(job["id"], format_, output)
    summary = summarise(job, output)
    if as_json:
        click.echo(json.dumps(summary, ensure_ascii=False))
    else:
        print_summary(summary, Console())
    click.get_current_context().exit(_status(job, console))


def _follow(client: Client, job: dict[str, Any], console: Console, check: Callable[[], None]) -> dict[str, Any]:
    """Show progress until the job ends; Ctrl-C cancels it and waits for what is being done."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    interval_s = _POLL_S
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("Tagging", total=job["progress"]["rows"], rate="")
        while job["state"] not in _ENDED:
            try:
                time.sleep(interval_s)
                check()
                job = client.job(job["id"])
            except KeyboardInterrupt:
                progress.update(bar, description="Cancelling")
                job = _cancel(client, job["id"])
                continue
            interval_s = min(interval_s * 1.1, _POLL_MAX_S)
            rate = job["progress"]["rows_per_s"]
            progress.update(bar, completed=job["progress"]["done"], rate="" if rate is None else f"{rate:,.0f} rows/s")
    return job


def _cancel(client: Client, job_id: str) -> dict[str, Any]:
    try:
        return client.change(job_id, "cancel")
    except Conflict:  # it has just ended by itself
        return client.job(job_id)


def _status(job: dict[str, Any], console: Console) -> Exit:
    match job["state"]:
        case "cancelled":
            return Exit.CANCELLED
        case "failed" | "expired":
            console.print(f"yeban: the job {job['state']}: {job['error'] or 'not done in time'}", style="red")
            return Exit.JOB_FAILED
        case "completed_with_errors":
            return Exit.ROW_ERRORS
        case _:
            return Exit.OK
