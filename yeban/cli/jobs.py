"""``yeban job``: jobs on a running server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from yeban.cli import options
from yeban.cli.report import print_summary, summarise
from yeban.client import Client


@click.group()
def job() -> None:
    """Submit jobs to a running server and look after them."""


@job.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@options.label_options
@click.option("--text-column", metavar="C", help="Column with the text (a name, or #N).")
@click.option("--gold-column", metavar="C", help="Column with the right label, to report accuracy.")
@click.option("--model", metavar="M", help="Model to use.")
@click.option("--encoding", metavar="E", help="Encoding of the file, where it is not detected right.")
@click.option("--delimiter", metavar="D", help="Delimiter of the file, where it is not detected right.")
@click.option("--start-at", metavar="TIME", help="Start then, e.g. 2026-11-22T22:00:00+08:00.")
@click.option("--expires-at", metavar="TIME", help="Give up if it is not done by then.")
@click.option("--idempotency-key", metavar="K", help="Submitting again with the same key makes no second job.")
@options.server
@options.as_json
def submit(
    file: Path,
    labels: options.Labels,
    idempotency_key: str | None,
    server: str | None,
    as_json: bool,
    **fields: str | None,
) -> None:
    """Upload FILE and return at once."""
    form = labels.form() | {name: value for name, value in fields.items() if value is not None}
    with Client(options.existing_server_url(server)) as client:
        created = client.create_job(file, form, idempotency_key=idempotency_key)
    if as_json:
        click.echo(json.dumps(created, ensure_ascii=False))
    else:
        click.echo(created["id"])


@job.command(name="list")
@click.option("--state", metavar="S", help="Only jobs in this state.")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="Most jobs to show.")
@options.server
@options.as_json
def list_(state: str | None, limit: int, server: str | None, as_json: bool) -> None:
    """List jobs, newest first."""
    with Client(options.existing_server_url(server)) as client:
        jobs = client.jobs(state=state, limit=limit)
    if as_json:
        click.echo(json.dumps(jobs, ensure_ascii=False))
        return
    table = Table("id", "state", "file", "rows", "done", "errors", "created")
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
    Console().print(table)


@job.command()
@click.argument("job_id")
@options.server
@options.as_json
def status(job_id: str, server: str | None, as_json: bool) -> None:
    """Show how far a job has come."""
    with Client(options.existing_server_url(server)) as client:
        _show(client.job(job_id), as_json)


@job.command()
@click.argument("job_id")
@options.server
@options.as_json
def cancel(job_id: str, server: str | None, as_json: bool) -> None:
    """Stop a job; finished rows are kept."""
    with Client(options.existing_server_url(server)) as client:
        _show(client.change(job_id, "cancel"), as_json)


@job.command()
@click.argument("job_id")
@options.server
@options.as_json
def pause(job_id: str, server: str | None, as_json: bool) -> None:
    """Hold a job until it is resumed."""
    with Client(options.existing_server_url(server)) as client:
        _show(client.change(job_id, "pause"), as_json)


@job.command()
@click.argument("job_id")
@options.server
@options.as_json
def resume(job_id: str, server: str | None, as_json: bool) -> None:
    """Go on with a job that was paused or stopped; only missing rows are run."""
    with Client(options.existing_server_url(server)) as client:
        _show(client.change(job_id, "resume"), as_json)


@job.command()
@click.argument("job_id")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Target file.")
@click.option("--errors", is_flag=True, help="Only the rows that could not be scored, with reasons (CSV).")
@options.server
def download(job_id: str, output: Path, errors: bool, server: str | None) -> None:
    """Write a job's table with its tags, as far as they are; the format follows the file's ending."""
    with Client(options.existing_server_url(server)) as client:
        if errors:
            client.download_errors(job_id, output)
        else:
            client.download(job_id, options.output_format(output), output)
    click.echo(str(output))


def _show(item: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(item, ensure_ascii=False))
        return
    console = Console()
    print_summary(summarise(item), console)
    progress = item["progress"]
    if progress["rows_per_s"] is not None:
        eta = f", about {progress['eta_s']:,.0f} s left" if progress["eta_s"] is not None else ""
        console.print(
            f"{progress['done']:,} of {progress['rows']:,} rows done, {progress['rows_per_s']:,.0f} rows/s{eta}.",
            highlight=False,
        )
    if item["error"]:
        console.print(item["error"], style="red", highlight=False)
