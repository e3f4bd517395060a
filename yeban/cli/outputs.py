"""The file a command writes: its format, and that it can be written, before any work is done for it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from yeban.errors import InvalidRequest, msg

_FORMATS = {".csv": "csv", ".xlsx": "xlsx", ".jsonl": "jsonl", ".ndjson": "jsonl"}


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
