"""The key that signs sessions: from the settings, or made once and kept beside the data."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from yeban.errors import ConfigurationError
from yeban.settings import Settings

_LEAST_CHARS = 32
_FILE = "secret_key"


def secret_key(settings: Settings) -> str:
    """``YEBAN_SECRET_KEY``, else the key in the data directory, which is made where there is none.

    Raises :class:`~yeban.errors.ConfigurationError` for a short key, and where none can be kept.
    """
    if settings.secret_key is not None:
        if len(settings.secret_key) < _LEAST_CHARS:
            raise ConfigurationError(f"YEBAN_SECRET_KEY is too short: give {_LEAST_CHARS} random characters or more.")
        return settings.secret_key
    path = settings.data_dir / _FILE
    try:
        return _kept(path)
    except OSError as error:
        raise ConfigurationError(
            f"The key that signs sessions cannot be kept in {path}: {error.strerror}. Set YEBAN_SECRET_KEY."
        ) from error


def _kept(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(encoding="ascii")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(prefix=f".{_FILE}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48))
        with contextlib.suppress(FileExistsError):  # another process was first; its key holds
            os.link(draft, path)
    finally:
        Path(draft).unlink()
    return path.read_text(encoding="ascii")
