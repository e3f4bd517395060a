"""Writing to the person or program in front of us."""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console

# A pipe or a file has no width; lines are not to be broken for it.
_WIDTH_WITHOUT_TERMINAL = 200


def console(*, stderr: bool = False) -> Console:
    """A console that shows text as it is: labels and file names hold square brackets and colons of their own."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr,
        markup=False,
        emoji=False,
        highlight=False,
        width=None if stream.isatty() else _WIDTH_WITHOUT_TERMINAL,
    )


def print_json(document: dict[str, Any]) -> None:
    """Print one JSON object on one line of standard output; escaped where the stream could not carry its text."""
    click.echo(json.dumps(document, ensure_ascii=not _carries_unicode()))


@contextmanager
def phase(screen: Console, text: str) -> Iterator[Callable[[str], None]]:
    """Say what is going on while the block runs: a spinner on a terminal, one line elsewhere.

    Yields a function that changes the text of the spinner.
    """
    if screen.is_terminal:
        with screen.status(text) as status:
            yield status.update
    else:
        screen.print(text)
        yield lambda _changed: None


def _carries_unicode() -> bool:
    try:
        return codecs.lookup(sys.stdout.encoding or "ascii").name == "utf-8"
    except LookupError:
        return False
