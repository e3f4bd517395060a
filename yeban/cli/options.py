"""Options shared by the commands on jobs and texts."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from yeban.errors import InvalidRequest, msg
from yeban.labels import Label, LabelSet, split_labels
from yeban.runtime.parameters import labels_file, template

_FORMATS = {".csv": "csv", ".xlsx": "xlsx", ".jsonl": "jsonl", ".ndjson": "jsonl"}

server = click.option("--server", metavar="URL", help="Server to use, such as http://host:8400 (YEBAN_SERVER).")


def label_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the label options; the command gets one ``label_set`` argument of type :class:`LabelSet`."""

    @click.option("--labels", metavar="A,B,C", help="Candidate labels, separated by commas.")
    @labels_file
    @template
    @click.option("--multi-label", is_flag=True, help="Allow any number of labels for a text.")
    @click.option("--threshold", type=click.FloatRange(0, 1), help="Lowest probability for which a label is assigned.")
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        labels: str | None,
        labels_file: tuple[Label, ...] | None,
        template: str,
        multi_label: bool,
        threshold: float | None,
        **kwargs: Any,
    ) -> Any:
        if (labels is None) == (labels_file is None):
            raise click.UsageError("Give the labels with --labels A,B,C or with --labels-file FILE.")
        # Find mistakes before a server is started.
        label_set = LabelSet(
            labels=labels_file or tuple(Label(name=name) for name in split_labels(labels or "")),
            template=template,
            multi_label=multi_label,
            threshold=threshold,
        )
        return command(*args, label_set=label_set, **kwargs)

    return wrapped


def label_fields(label_set: LabelSet) -> dict[str, str | list[str]]:
    """A label set as form fields of the API."""
    fields: dict[str, str | list[str]] = {
        "labels": json.dumps(label_set.to_json()["labels"], ensure_ascii=False),
        "template": label_set.template,
        "multi_label": str(label_set.multi_label).lower(),
    }
    return fields if label_set.threshold is None else {**fields, "threshold": str(label_set.threshold)}


def table_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of the table and the model; the command gets them as ``fields`` of the API's form."""

    @click.option("--text-column", metavar="C", help="Column with the text (a name, or #N).")
    @click.option("--gold-column", metavar="C", help="Gold column, to report accuracy (a name, or #N).")
    @click.option("--model", metavar="M", help="Model to use.")
    @click.option("--encoding", metavar="E", help="Encoding of the file, if detection fails.")
    @click.option("--delimiter", metavar="D", help="Delimiter of the file, if detection fails.")
    @click.option(
        "--refine/--no-refine",
        default=None,
        help="Refine labels over the whole file; the default unless --multi-label is given.",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, refine: bool | None, **kwargs: Any) -> Any:
        names = ("text_column", "gold_column", "model", "encoding", "delimiter")
        given = {name: kwargs.pop(name) for name in names}
        given["refine"] = None if refine is None else str(refine).lower()
        return command(*args, fields={name: value for name, value in given.items() if value is not None}, **kwargs)

    return wrapped


def output_format(path: Path) -> str:
    """The download format for a file name. Raises :class:`~yeban.errors.InvalidRequest`."""
    format_ = _FORMATS.get(path.suffix.lower())
    if format_ is None:
        raise InvalidRequest(
            msg(
                "Cannot tell the format from the name %(path)s. Choose a name that ends in .csv, .xlsx or .jsonl.",
                path=path.name,
            )
        )
    return format_


def check_output(path: Path) -> None:
    """Raise :class:`~yeban.errors.InvalidRequest` if ``path`` cannot be written."""
    if not path.parent.is_dir():
        raise InvalidRequest(msg("The folder %(parent)s does not exist.", parent=path.parent))
    try:
        # The writer also begins with a draft in this folder.
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise InvalidRequest(
            msg("Cannot write to the folder %(parent)s: %(reason)s.", parent=path.parent, reason=error.strerror)
        ) from error
