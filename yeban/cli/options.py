"""Options that several subcommands share."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from yeban.labels import Label, LabelSet, split_labels
from yeban.runtime.parameters import labels_file

server = click.option("--server", metavar="URL", help="Server to use, e.g. http://host:8400 (YEBAN_SERVER).")


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What to tag with, as the command line gives it."""

    labels: list[str | dict[str, Any]]
    template: str
    multi_label: bool
    threshold: float | None

    def check(self) -> None:
        """Raise what the server would raise, before one is started only to be told."""
        LabelSet(
            labels=tuple(
                Label(name=(label if isinstance(label, str) else str(label["name"])).strip()) for label in self.labels
            ),
            template=self.template,
            multi_label=self.multi_label,
            threshold=self.threshold,
        )

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
    @labels_file
    @click.option("--template", default="{}", show_default=True, help="Hypothesis template; {} is the label.")
    @click.option("--multi-label", is_flag=True, help="Let a text have any number of labels.")
    @click.option("--threshold", type=click.FloatRange(0, 1), help="Probability below which nothing is assigned.")
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        given: str | None,
        labels_file: list[str | dict[str, Any]] | None,
        template: str,
        multi_label: bool,
        threshold: float | None,
        **kwargs: Any,
    ) -> Any:
        if (given is None) == (labels_file is None):
            raise click.UsageError("Give the labels with --labels A,B,C or with --labels-file FILE.")
        listed: list[str | dict[str, Any]] = [*split_labels(given)] if given is not None else labels_file or []
        labels = Labels(labels=listed, template=template, multi_label=multi_label, threshold=threshold)
        labels.check()
        return command(*args, labels=labels, **kwargs)

    return wrapped


def table_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options about the table and the model; the command gets one ``fields`` argument, of the API's form."""

    @click.option("--text-column", metavar="C", help="Column with the text (a name, or #N).")
    @click.option("--gold-column", metavar="C", help="Column with the right label, to report accuracy.")
    @click.option("--model", metavar="M", help="Model to use.")
    @click.option("--encoding", metavar="E", help="Encoding of the file, where it is not detected right.")
    @click.option("--delimiter", metavar="D", help="Delimiter of the file, where it is not detected right.")
    @click.option(
        "--refine/--no-refine",
        default=None,
        help="Learn from the whole file and decide every row anew; by default where labels exclude one another.",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, refine: bool | None, **kwargs: Any) -> Any:
        names = ("text_column", "gold_column", "model", "encoding", "delimiter")
        given = {name: kwargs.pop(name) for name in names}
        given["refine"] = None if refine is None else str(refine).lower()
        return command(*args, fields={name: value for name, value in given.items() if value is not None}, **kwargs)

    return wrapped
