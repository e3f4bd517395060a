"""``yeban job``: jobs on a running server."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from yeban.cli import options
from yeban.cli.connection import existing_server_url, open_client
from yeban.cli.report import print_summary, summarise
from yeban.client import Client
from yeban.database.tables.states import JobState
from yeban.errors import InvalidRequest, msg
from yeban.labels import LabelSet
from yeban.runtime.parameters import INPUT, OUTPUT, as_json
from yeban.runtime.terminal import console, phase, print_json

_POLL_S = 0.2
_POLL_MAX_S = 2.0

_job_id = click.argument("job_id", type=click.UUID)


@click.group()
def job() -> None:
    """Submit jobs to a running server and manage them."""


@job.command()
@click.argument("file", type=INPUT)
@options.label_options
@options.table_options
@click.option("--start-at", metavar="TIME", help="Start time, such as 2026-11-22T22:00:00+08:00.")
@click.option("--expires-at", metavar="TIME", help="Deadline: an unfinished job expires.")
@click.option("--idempotency-key", metavar="K", help="Key of this submission; the same key creates no second job.")
@options.server
@as_json
def submit(
    *,
    file: Path,
    label_set: LabelSet,
    fields: dict[str, str],
    idempotency_key: str | None,
    server: str | None,
    as_json: bool,
    **times: str | None,
) -> None:
    """Upload FILE and print the id of the new job."""
    form = {
        **options.label_fields(label_set),
        **fields,
        **{name: time for name, time in times.items() if time is not None},
    }
    with open_client(existing_server_url(server)) as client:
        created = client.create_job(file, form, idempotency_key=idempotency_key)
    if as_json:
        print_json(created)
    else:
        click.echo(created["id"])


@job.command(name="list")
@click.option("--state", type=click.Choice([state.value for state in JobState]), help="Only jobs in this state.")
@click.option("--name", metavar="PART", help="Only jobs with this text in the file name.")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="Most jobs to show.")
@options.server
@as_json
def list_(state: str | None, name: str | None, limit: int, server: str | None, as_json: bool) -> None:
    """List jobs, newest first."""
    with open_client(existing_server_url(server)) as client:
        jobs = client.jobs(state=state, name=name, limit=limit)
    if as_json:
        print_json({"jobs": jobs})
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("id", "state", "file", "rows", "done", "errors", "created"):
        counted = heading in {"rows", "done", "errors"}
        table.add_column(heading, justify="right" if counted else "left", no_wrap=heading != "file", overflow="fold")
    for item in jobs:
        progress = item["progress"]
        table.add_row(
            item["id"],
            item["state"],
            item["source"]["name"],
            f"{progress['rows']:,}",
            f"{progress['done']:,}",
            f"{progress['errors']:,}",
            item["times"]["created_at"],
        )
    console().print(table)


@job.command()
@_job_id
@options.server
@as_json
def status(job_id: uuid.UUID, server: str | None, as_json: bool) -> None:
    """Show the progress of a job."""
    with open_client(existing_server_url(server)) as client:
        _show(client.job(str(job_id)), as_json)


def _add_change(verb: str, summary: str) -> None:
    @job.command(verb, help=summary)
    @_job_id
    @options.server
    @as_json
    def change(job_id: uuid.UUID, server: str | None, as_json: bool) -> None:
        with open_client(existing_server_url(server)) as client:
            _show(client.change(str(job_id), verb), as_json)


_add_change("cancel", "Cancel a job. Finished rows are kept.")
_add_change("pause", "Pause a job until it is resumed.")
_add_change("resume", "Resume a paused or stopped job. Only missing rows are run.")


@job.command()
@_job_id
@options.server
def delete(job_id: uuid.UUID, server: str | None) -> None:
    """Delete a finished or stopped job with its rows and results."""
    with open_client(existing_server_url(server)) as client:
        client.delete_job(str(job_id))
    click.echo("Deleted.")


@job.command()
@_job_id
@click.option("-o", "--output", type=OUTPUT, required=True, help="File to write: .csv, .xlsx or .jsonl.")
@click.option("--errors", is_flag=True, help="Only the rows that could not be scored, with their reasons (CSV).")
@options.server
def download(job_id: uuid.UUID, output: Path, errors: bool, server: str | None) -> None:
    """Write the table of a job with the tags so far."""
    format_ = options.output_format(output)
    if errors and format_ != "csv":
        raise InvalidRequest(msg("Failed rows are saved as CSV. Choose an output name that ends in .csv."))
    options.check_output(output)
    with open_client(existing_server_url(server)) as client:
        if errors:
            client.download_errors(str(job_id), output)
        else:
            client.download(str(job_id), format_, output)
    click.echo(str(output))


@job.command()
@_job_id
@click.option("--row", "rows", type=int, multiple=True, required=True, help="Row number; repeatable.")
@click.option("--label", "labels", metavar="L", multiple=True, help="Right label; repeatable in multi-label jobs.")
@click.option("--none", is_flag=True, help="No label of the job fits.")
@click.option("--undo", is_flag=True, help="Undo an earlier correction.")
@click.option("--author", metavar="NAME", default="", help="Name of the person who corrects.")
@options.server
@as_json
def correct(
    *,
    job_id: uuid.UUID,
    rows: tuple[int, ...],
    labels: tuple[str, ...],
    none: bool,
    undo: bool,
    author: str,
    server: str | None,
    as_json: bool,
) -> None:
    """Correct the labels of rows. `refine` then applies the corrections to similar rows."""
    if [bool(labels), none, undo].count(True) != 1:
        raise click.UsageError("Give the right label with --label L, or --none, or --undo.")
    with open_client(existing_server_url(server)) as client:
        answer = client.correct(str(job_id), dict.fromkeys(rows, None if undo else labels), author=author)
    if as_json:
        print_json(answer)
    else:
        click.echo(
            f"{answer['stored']:,} stored, {answer['removed']:,} undone;"
            f" corrected rows of the job: {answer['job']['corrections']:,}."
        )


@job.command()
@_job_id
@click.option("--wait", is_flag=True, help="Wait for the end of the refinement.")
@options.server
@as_json
def refine(job_id: uuid.UUID, wait: bool, server: str | None, as_json: bool) -> None:
    """Refine a completed job again, with its corrections. No row is scored again."""
    with open_client(existing_server_url(server)) as client:
        item = client.refine(str(job_id))
        if wait:
            item = _await_refinement(client, item)
        _show(item, as_json)


def _await_refinement(client: Client, item: dict[str, Any]) -> dict[str, Any]:
    """The job after its refinement."""
    pause_s = _POLL_S
    with phase(console(stderr=True), "Refining…"):
        while item["state"] == JobState.FINISHING:
            time.sleep(pause_s)
            item = client.job(item["id"])
            pause_s = min(pause_s * 1.1, _POLL_MAX_S)
    return item


def _show(item: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(item)
        return
    screen = console()
    print_summary(summarise(item), screen)
    progress = item["progress"]
    if progress["rows_per_s"] is not None:
        eta = f", about {progress['eta_s']:,.0f} s left" if progress["eta_s"] is not None else ""
        screen.print(
            f"{progress['done']:,} of {progress['rows']:,} rows done, {progress['rows_per_s']:,.0f} rows/s{eta}."
        )
    if item["error"]:
        screen.print(item["error"], style="red")
