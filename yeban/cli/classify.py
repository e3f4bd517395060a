"""``yeban classify``: one text, now."""

from __future__ import annotations

import json
import sys

import click
from rich.console import Console
from rich.table import Table

from yeban.cli import options
from yeban.client import Client

_BAR_CHARS = 40


@click.command()
@click.argument("text")
@options.label_options
@click.option("--model", metavar="M", help="Model to use.")
@options.server
@options.as_json
def classify(text: str, labels: options.Labels, model: str | None, server: str | None, as_json: bool) -> None:
    """Classify TEXT (or standard input, for -) and show how sure the model is of each label."""
    if text == "-":
        text = sys.stdin.read()
    body = {"text": text, **labels.body()} | ({"model": model} if model else {})
    with options.reach_server(server) as reached, Client(reached.url) as client:
        answer = client.classify(body)
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False))
        return
    table = Table(box=None, show_header=False)
    for label, score in zip(answer["labels"], answer["scores"], strict=True):
        mark = "✓" if label in answer["assigned"] else ""
        table.add_row(mark, label, f"{score:.1%}", "█" * round(_BAR_CHARS * score))
    console = Console()
    console.print(table)
    timing = answer["timing"]
    console.print(
        f"{answer['model']['name']} {answer['model']['precision']}: {timing['total_ms']:.0f} ms"
        f" (queue {timing['queue_ms']:.0f}, engine {timing['inference_ms']:.0f})",
        highlight=False,
    )
