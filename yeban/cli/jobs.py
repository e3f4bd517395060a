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
from yeban.cli.outputs import check_output, output_format
from yeban.cli.report import print_summary, summarise
from yeban.client import Client
from yeban.database.tables.states import JobState
from yeban.errors import InvalidRequest, msg
from yeban.runtime.parameters import INPUT, OUTPUT, as_json
from yeban.runtime.terminal import console, phase, print_json

_POLL_S = 0.2
_POLL_MAX_S = 2.0


@click.group()
def job() -> None:
    """Submit jobs to a running server and manage them."""


@job.command()
@click.argument("file", type=INPUT)
@options.label_options
@options.table_options
@click.option("--start-at", metavar="TIME", help="Start then, e.g. 2026-11-22T22:00:00+08:00.")
@click.option("--expires-at", metavar="TIME", help="Give up if it is not done by then.")
@click.option("--idempotency-key", metavar="K", help="Submitting again with the same key makes no second job.")
@options.server
@as_json
def submit(
    *,
    file: Path,
    labels: options.Labels,
    fields: dict[str, str],
    idempotency_key: str | None,
    server: str | None,
    as_json: bool,
    **times: str | None,
) -> None:
    """Upload FILE, print the job's id, and return at once."""
    form = {**labels.form(), **fields, **{name: time for name, time in times.items() if time is not None}}
    with open_client(existing_server_url(server)) as client:
        created = client.create_job(file, form, idempotency_key=idempotency_key)
    if as_json:
        print_json(created)
    else:
        click.echo(created["id"])


@job.command(name="list")
@click.option("--state", type=click.Choice([state.value for state in JobState]), help="Only jobs in this state.")
@click.option("--name", metavar="PART", help="Only jobs with this in the name of their file.")
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
@click.argument("job_id", type=click.UUID)
@options.server
@as_json
def status(job_id: uuid.UUID, server: str | None, as_json: bool) -> None:
    """Show how far a job has come."""
    with open_client(existing_server_url(server)) as client:
        _show(client.job(str(job_id)), as_json)


@job.command()
@click.argument("job_id", type=click.UUID)
@options.server
@as_json
def cancel(job_id: uuid.UUID, server: str | None, as_json: bool) -> None:
    """Stop a job; finished rows are kept."""
    with open_client(existing_server_url(server)) as client:
        _show(client.change(str(job_id), "cancel"), as_json)


@job.command()
@click.argument("job_id", type=click.UUID)
@options.server
@as_json
def pause(job_id: uuid.UUID, server: str | None, as_json: bool) -> None:
    """Hold a job until it is resumed."""
    with open_client(existing_server_url(server)) as client:
        _show(client.change(str(job_id), "pause"), as_json)


@job.command()
@click.argument("job_id", type=click.UUID)
@options.server
@as_json
def resume(job_id: uuid.UUID, server: str | None, as_json: bool) -> None:
    """Go on with a job that was paused or stopped; only missing rows are run."""
    with open_client(existing_server_url(server)) as client:
        _show(client.change(str(job_id), "resume"), as_json)


@job.command()
@click.argument("job_id", type=click.UUID)
@options.server
def delete(job_id: uuid.UUID, server: str | None) -> None:
    """Delete a job that has ended, with its rows and results."""
    with open_client(existing_server_url(server)) as client:
        client.delete_job(str(job_id))
    click.echo("Deleted.")


@job.command()
@click.argument("job_id", type=click.UUID)
@click.option("-o", "--output", type=OUTPUT, required=True, help="File to write: .csv, .xlsx or .jsonl.")
@click.option("--errors", is_flag=True, help="Only the rows that could not be scored, with reasons (CSV).")
@options.server
def download(job_id: uuid.UUID, output: Path, errors: bool, server: str | None) -> None:
    """Write a job's table with its tags, as far as they are; the format follows the file's ending."""
    format_ = output_format(output)
    if errors and format_ != "csv":
        raise InvalidRequest(msg("The rows that could not be scored come as CSV; end the output's name in .csv."))
    check_output(output)
    with open_client(existing_server_url(server)) as client:
        if errors:
            client.download_errors(str(job_id), output)
        else:
            client.download(str(job_id), format_, output)
    click.echo(str(output))


@job.command()
@click.argument("job_id", type=click.UUID)
@click.option("--row", "rows", type=int, multiple=True, required=True, help="Number of a row; may be repeated.")
@click.option(
    "--label", "labels", metavar="L", multiple=True, help="The right label; several may be right in some jobs."
)
@click.option("--none", is_flag=True, help="None of the job's labels fits.")
@click.option("--undo", is_flag=True, help="Take an earlier correction back.")
@click.option("--author", metavar="NAME", default="", help="Who says so.")
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
    """Say which label rows ought to have; `refine` then decides the other rows with it."""
    if [bool(labels), none, undo].count(True) != 1:
        raise click.UsageError("Give the right label with --label L, or --none, or --undo.")
    with open_client(existing_server_url(server)) as client:
        answer = client.correct(str(job_id), dict.fromkeys(rows, None if undo else labels), author=author)
    if as_json:
        print_json(answer)
    else:
        click.echo(
            f"{answer['stored']:,} stored, {answer['removed']:,} taken back;"
            f" corrected rows of the job: {answer['job']['corrections']:,}."
        )


@job.command()
@click.argument("job_id", type=click.UUID)
@click.option("--wait", is_flag=True, help="Wait until it is done.")
@options.server
@as_json
def refine(job_id: uuid.UUID, wait: bool, server: str | None, as_json: bool) -> None:
    """Decide the rows of a completed job once more, with what was corrected; no row is scored anew."""
    with open_client(existing_server_url(server)) as client:
        item = client.refine(str(job_id))
        if wait:
            item = _refined(client, item)
        _show(item, as_json)


def _refined(client: Client, item: dict[str, Any]) -> dict[str, Any]:
    """The job once it is no longer being ended."""
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
