"""Logging: one line a record, its facts as ``key=value``. A ticket's text never goes into a record."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "data"}
#: Libraries whose INFO records say nothing to an operator.
_QUIET = ("alembic", "httpx", "kombu", "amqp")


class LineFormatter(logging.Formatter):
    """``2026-11-22T22:00:00.123Z WARNING yeban.jobs.hints hints not sent chunks=4``."""

    def format(self, record: logging.LogRecord) -> str:
        facts = " ".join(
            f"{key}={value}" for key, value in vars(record).items() if key not in _STANDARD and not key.startswith("_")
        )
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = f"{moment} {record.levelname} {record.name} {record.getMessage()} {facts}".rstrip()
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return line


def configure_logging(level: str) -> None:
    """Send records of ``level`` and above to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
