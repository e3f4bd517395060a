"""The file a command writes: its format, and that it can be written, before any work is done for it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from yeban.errors import InvalidRequest, msg

_FORMATS = {".csv": "csv", ".xlsx": "xlsx", ".jsonl": "jsonl", ".ndjson": "jsonl"}

#: The type of an argument that names a file to read.
INPUT = click.Path(exists=True, dir_okay=False, path_type=Path)
#: The type of an option that names a file to write.
OUTPUT = click.Path(dir_okay=False, path_type=Path)


def output_format(path: Path) -> str:
    """The download format that a file name asks for. Raises :class:`~yeban.errors.InvalidRequest`."""
    format_ = _FORMATS.get(path.suffix.lower())
    if format_ is None:
        raise InvalidRequest(
            msg("Cannot tell a format from %(path)s; end it in .csv, .xlsx or .jsonl.", path=path.name)
        )
    return format_


def check_output(path: Path) -> None:
    """Raise :class:`~yeban.errors.InvalidRequest` where ``path`` could not be written."""
    if not path.parent.is_dir():
        raise InvalidRequest(msg("The folder %(parent)s does not exist.", parent=path.parent))
    try:
        # What writes the file makes a draft beside it first; so does this.
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise InvalidRequest(
            msg("The folder %(parent)s cannot be written to: %(reason)s.", parent=path.parent, reason=error.strerror)
        ) from error


def check_input(path: Path) -> None:
    """Raise :class:`~yeban.errors.InvalidRequest` for what is no ordinary file: a pipe or a device has no size."""
    if not path.is_file():
        raise InvalidRequest(msg("%(path)s is not an ordinary file; write it to one first.", path=path))
