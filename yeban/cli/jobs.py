"""``yeban job``: jobs on a running server."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from yeban.cli import options
from yeban.cli.outputs import INPUT, OUTPUT, check_input, check_output, output_format
from yeban.cli.reaching import existing_server_url
from yeban.cli.report import print_summary, summarise
from yeban.cli.terminal import console, print_json
from yeban.client import Client
from yeban.errors import InvalidRequest
from yeban.jobs.states import JobState


@click.group()
def job() -> None:
    """Submit jobs to a running server and look after them."""


@job.command()
@click.argument("file", type=INPUT)
@options.label_options
@options.table_options
@click.option("--start-at", metavar="TIME", help="Start then, e.g. 2026-11-22T22:00:00+08:00.")
@click.option("--expires-at", metavar="TIME", help="Give up if it is not done by then.")
@click.option("--idempotency-key", metavar="K", help="Submitting again with the same key makes no second job.")
@options.server
@options.as_json
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
    check_input(file)
    form = {**labels.form(), **fields, **{name: time for name, time in times.items() if time is not None}}
    with Client(existing_server_url(server)) as client:
        created = client.create_job(file, form, idempotency_key=idempotency_key)
    if as_json:
        print_json(created)
    else:
        click.echo(created["id"])


@job.command(name="list")
@click.option("--state", type=click.Choice([state.value for state in JobState]), help="Only jobs in this state.")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="Most jobs to show.")
@options.server
@options.as_json
def list_(state: str | None, limit: int, server: str | None, as_json: bool) -> None:
    """List jobs, newest first."""
    with Client(existing_server_url(server)) as client:
        jobs = client.jobs(state=state, limit=limit)
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
@options.as_json
def status(job_id: uuid.UUID, server: str | None, as_json: bool) -> None:
    """Show how far a job has come."""
    with Client(existing_server_url(server)) as client:
        _show(client.job(str(job_id)), as_json)


@job.command()
@click.argument("job_id", type=click.UUID)
@options.server
@options.as_json
def cancel(job_id: uuid.UUID, server: str | None, as_json: bool) -> None:
    """Stop a job; finished rows are kept."""
    with Client(existing_server_url(server)) as client:
        _show(client.change(str(job_id), "cancel"), as_json)


@job.command()
@click.argument("job_id", type=click.UUID)
@options.server
@options.as_json
def pause(job_id: uuid.UUID, server: str | None, as_json: bool) -> None:
    """Hold a job until it is resumed."""
    with Client(existing_server_url(server)) as client:
        _show(client.change(str(job_id), "pause"), as_json)


@job.command()
@click.argument("job_id", type=click.UUID)
@options.server
@options.as_json
def resume(job_id: uuid.UUID, server: str | None, as_json: bool) -> None:
    """Go on with a job that was paused or stopped; only missing rows are run."""
    with Client(existing_server_url(server)) as client:
        _show(client.change(str(job_id), "resume"), as_json)


@job.command()
@click.argument("job_id", type=click.UUID)
@click.option("-o", "--output", type=OUTPUT, required=True, help="File to write: .csv, .xlsx or .jsonl.")
@click.option("--errors", is_flag=True, help="Only the rows that could not be scored, with reasons (CSV).")
@options.server
def download(job_id: uuid.UUID, output: Path, errors: bool, server: str | None) -> None:
    """Write a job's table with its tags, as far as they are; the format follows the file's ending."""
    format_ = output_format(output)
    if errors and format_ != "csv":
        raise InvalidRequest("The rows that could not be scored come as CSV; end the output's name in .csv.")
    check_output(output)
    with Client(existing_server_url(server)) as client:
        if errors:
            client.download_errors(str(job_id), output)
        else:
            client.download(str(job_id), format_, output)
    click.echo(str(output))


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
