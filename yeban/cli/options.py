"""Options that several subcommands share."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from yeban.errors import InvalidLabels, InvalidRequest
from yeban.labels import split_labels
from yeban.settings import get_settings
from yeban.stack import run_stack, running_url

_FORMATS = {".csv": "csv", ".xlsx": "xlsx", ".jsonl": "jsonl", ".ndjson": "jsonl"}

server = click.option("--server", metavar="URL", envvar="YEBAN_SERVER", help="Server to use, e.g. http://host:8400.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What to tag with, as the command line gives it."""

    labels: list[str | dict[str, Any]]
    template: str
    multi_label: bool
    threshold: float | None

    def names(self) -> list[str]:
        """The label names, in order."""
        return [label if isinstance(label, str) else str(label.get("name")) for label in self.labels]

    def form(self) -> dict[str, str | list[str]]:
        """As form fields of the API."""
        fields: dict[str, str | list[str]] = {
            "labels": json.dumps(self.labels, ensure_ascii=False),
            "template": self.template,
            "multi_label": "true" if self.multi_label else "false",
        }
        if self.threshold is not None:
            fields["threshold"] = str(self.threshold)
        return fields

    def body(self) -> dict[str, Any]:
        """As fields of a JSON body of the API."""
        body: dict[str, Any] = {
            "labels": self.labels,
            "template": self.template,
            "multi_label": self.multi_label,
        }
        return body if self.threshold is None else {**body, "threshold": self.threshold}


def label_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the label options; the command gets one ``labels`` argument of type :class:`Labels`."""

    @click.option("--labels", "given", metavar="A,B,C", help="Candidate labels, separated by commas.")
    @click.option(
        "--labels-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="File with one label a line, or a JSON array of names or {name, description, examples}.",
    )
    @click.option("--template", default="{}", show_default=True, help="Hypothesis template; {} is the label.")
    @click.option("--multi-label", is_flag=True, help="Let a text have any number of labels.")
    @click.option("--threshold", type=click.FloatRange(0, 1), help="Probability below which nothing is assigned.")
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        given: str | None,
        labels_file: Path | None,
        template: str,
        multi_label: bool,
        threshold: float | None,
        **kwargs: Any,
    ) -> Any:
        if (given is None) == (labels_file is None):
            raise click.UsageError("Give the labels with --labels A,B,C or with --labels-file FILE.")
        parsed: list[str | dict[str, Any]] = (
            list(split_labels(given)) if given is not None else read_labels_file(labels_file or Path())
        )
        labels = Labels(labels=parsed, template=template, multi_label=multi_label, threshold=threshold)
        return command(*args, labels=labels, **kwargs)

    return wrapped


def read_labels_file(path: Path) -> list[str | dict[str, Any]]:
    """Labels from a file: a JSON array, or one a line (blank lines and ``#`` comments skipped)."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidLabels(f"Cannot read labels from {path}: {error}. The file must be UTF-8.") from error
    if content.lstrip().startswith("["):
        try:
            listed = json.loads(content)
        except ValueError as error:
            raise InvalidLabels(f"{path} starts like a JSON array but is not one: {error}.") from error
        return list(listed)
    lines = (line.strip() for line in content.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


@dataclass(frozen=True, kw_only=True)
class Reached:
    """A server to talk to. ``check()`` raises when it is ours and a part of it has been given up."""

    url: str
    check: Callable[[], None]


@contextmanager
def reach_server(given: str | None) -> Iterator[Reached]:
    """The server named, the one running on this machine, or one started for this command."""
    settings = get_settings()
    url = given or running_url(settings)
    if url is not None:
        yield Reached(url=url, check=lambda: None)
        return
    with run_stack(settings, port=0) as stack:
        yield Reached(url=stack.url, check=stack.check)


def existing_server_url(given: str | None) -> str:
    """The server named, the one running on this machine, or the default address."""
    settings = get_settings()
    return given or running_url(settings) or f"http://{settings.host}:{settings.port}"


def output_format(path: Path) -> str:
    """The download format that a file name asks for."""
    format_ = _FORMATS.get(path.suffix.lower())
    if format_ is None:
        raise InvalidRequest(f"Cannot tell a format from {path.name}; end it in .csv, .xlsx or .jsonl.")
    return format_
