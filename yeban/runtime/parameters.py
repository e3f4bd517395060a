"""Click parameters shared by the commands of all packages."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from yeban.errors import InvalidLabels, msg
from yeban.labels import DEFAULT_TEMPLATE, Label
from yeban.settings import get_settings

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
template = click.option(
    "--template", default=DEFAULT_TEMPLATE, show_default=True, help="Hypothesis template; {} is the label."
)
model_dir = click.option(
    "--model-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=lambda: get_settings().model_dir,
    show_default="models in the data directory",
    help="Folder of the built models.",
)


class _InputFile(click.Path):
    """A file to read. Pipes and devices are refused: they have no size and cannot be read twice."""

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, path_type=Path)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        path = super().convert(value, param, ctx)
        if not Path(os.fsdecode(path)).is_file():
            self.fail(f"{value} is not an ordinary file; write it to one first.", param, ctx)
        return path


INPUT = _InputFile()
OUTPUT = click.Path(dir_okay=False, path_type=Path)


def _read_labels(_ctx: click.Context, _option: click.Parameter, path: Path | None) -> tuple[Label, ...] | None:
    if path is None:
        return None
    try:
        content = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidLabels(
            msg("Cannot read the labels in %(path)s: %(reason)s.", path=path, reason=error.strerror)
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidLabels(msg("The labels in %(path)s are not UTF-8. Save the file as UTF-8.", path=path)) from error
    if content.lstrip().startswith(("[", "{")):
        return _json_labels(path, content)
    lines = (line.strip() for line in content.splitlines())
    return tuple(Label(name=line) for line in lines if line and not line.startswith("#"))


def _json_labels(path: Path, content: str) -> tuple[Label, ...]:
    try:
        listed = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidLabels(
            msg("%(path)s starts like JSON but is not valid JSON: %(error)s.", path=path, error=error)
        ) from error
    if not isinstance(listed, list):
        raise InvalidLabels(
            msg("%(path)s contains a JSON object. Give the labels as a JSON array, or one name per line.", path=path)
        )
    return tuple(_json_label(path, number, item) for number, item in enumerate(listed, 1))


def _json_label(path: Path, number: int, item: Any) -> Label:
    fields = {"name": item} if isinstance(item, str) else item
    if isinstance(fields, dict) and fields.keys() <= {"name", "description", "examples"}:
        name, description, examples = fields.get("name"), fields.get("description", ""), fields.get("examples", [])
        texts = [description, *examples] if isinstance(examples, list) else [None]
        if isinstance(name, str) and all(isinstance(text, str) for text in texts):
            return Label(name=name.strip(), description=description, examples=tuple(examples))
    raise InvalidLabels(
        msg(
            "Label %(number)s in %(path)s must be a name, or an object with a name, a description and a list "
            "of examples.",
            number=number,
            path=path,
        )
    )


labels_file = click.option(
    "--labels-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=_read_labels,
    help="File with one label a line, or a JSON array of names or {name, description, examples}.",
)
