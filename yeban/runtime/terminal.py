"""Output of commands, for people and programs."""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console

# Pipes and files have no width: do not break lines for them.
_WIDTH_WITHOUT_TERMINAL = 200


def console(*, stderr: bool = False) -> Console:
    """A console without markup, since labels and file names may contain square brackets and colons."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr,
        markup=False,
        emoji=False,
        highlight=False,
        width=None if stream.isatty() else _WIDTH_WITHOUT_TERMINAL,
    )


def print_json(document: dict[str, Any]) -> None:
    """Print a JSON object on one line of standard output, escaped unless the stream is UTF-8."""
    click.echo(json.dumps(document, ensure_ascii=not _carries_unicode()))


@contextmanager
def phase(screen: Console, text: str) -> Iterator[Callable[[str], None]]:
    """Show progress while the block runs: a spinner on a terminal, one line elsewhere.

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
