"""Click parameters shared by the commands of all packages."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from yeban.errors import InvalidLabels, msg
from yeban.settings import get_settings

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
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


def _read_labels(_ctx: click.Context, _option: click.Parameter, path: Path | None) -> list[str | dict[str, Any]] | None:
    if path is None:
        return None
    try:
        content = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidLabels(
            msg("Cannot read the labels in %(path)s: %(reason)s.", path=path, reason=error.strerror)
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidLabels(msg("The labels in %(path)s are not UTF-8; save the file as UTF-8.", path=path)) from error
    if content.lstrip().startswith(("[", "{")):
        return _json_labels(path, content)
    lines = (line.strip() for line in content.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _json_labels(path: Path, content: str) -> list[str | dict[str, Any]]:
    try:
        listed = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidLabels(msg("%(path)s begins like JSON but is not: %(error)s.", path=path, error=error)) from error
    if not isinstance(listed, list):
        raise InvalidLabels(
            msg("%(path)s holds a JSON object; labels are a JSON array, or one name a line.", path=path)
        )
    for number, label in enumerate(listed, 1):
        name = label.get("name") if isinstance(label, dict) else label
        if not isinstance(name, str):
            raise InvalidLabels(
                msg(
                    "Label %(number)s in %(path)s is neither a name nor an object with a name, description "
                    "and examples.",
                    number=number,
                    path=path,
                )
            )
    return listed


labels_file = click.option(
    "--labels-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=_read_labels,
    help="File with one label a line, or a JSON array of names or {name, description, examples}.",
)
