"""``yeban classify``: one text."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import Any

import click
from rich.table import Table

from yeban.cli import options
from yeban.cli.connection import open_client, reach_server
from yeban.errors import InvalidRequest, msg
from yeban.labels import LabelSet
from yeban.runtime.parameters import as_json
from yeban.runtime.terminal import console, phase, print_json

_BAR_CHARS = 40


@click.command()
@click.argument("text")
@options.label_options
@click.option("--model", metavar="M", help="Model to use.")
@options.server
@as_json
def classify(text: str, label_set: LabelSet, model: str | None, server: str | None, as_json: bool) -> None:
    """Classify TEXT and show the probability of each label.

    TEXT - reads standard input."""
    if text == "-":
        text = _standard_input()
    if not text.strip():
        raise InvalidRequest(
            msg("There is no text to classify. Pass one as an argument, or pipe it to standard input.")
        )
    body = {"text": text, **label_set.to_json()} | ({"model": model} if model else {})
    screen = console(stderr=True)
    with ExitStack() as stack:
        with phase(screen, "Starting…"):
            reached = stack.enter_context(reach_server(server, model=model, say=screen.print))
        answer = stack.enter_context(open_client(reached.url)).classify(body)
        # Print before the servers stop, which takes seconds.
        if as_json:
            print_json(answer)
        else:
            _show(answer)


def _show(answer: dict[str, Any]) -> None:
    table = Table(box=None, show_header=False)
    for label, score in zip(answer["labels"], answer["scores"], strict=True):
        mark = "✓" if label in answer["assigned"] else ""
        table.add_row(mark, label, f"{score:.1%}", "█" * round(_BAR_CHARS * score))
    screen = console()
    screen.print(table)
    timing = answer["timing"]
    screen.print(
        f"{answer['model']['name']} {answer['model']['precision']}: {timing['total_ms']:.0f} ms"
        f" (queue {timing['queue_ms']:.0f}, engine {timing['inference_ms']:.0f})"
    )


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(msg("Standard input is not UTF-8.")) from error
