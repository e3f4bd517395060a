"""Log records without ticket texts, as lines or JSON.

The message of an exception may quote a text. Records hold the exception's traceback and type, and its message only if
Yeban or the operating system wrote it.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import Any, Literal

from yeban.errors import InvalidLabels, InvalidRequest, InvalidTable, InvalidTemplate, TooLarge, YebanError

LogFormat = Literal["line", "json"]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "data"}
#: Libraries logged from WARNING only: the rest does not help operators, and Celery's pool quotes task arguments.
_QUIET = ("alembic", "httpx", "kombu", "amqp", "celery.pool")
#: Quotes unknown messages, which may hold a text.
_QUOTES_MESSAGES = "celery.worker.consumer.consumer"
#: Quotes the exception of a failed task.
_QUOTES_EXCEPTIONS = "celery.app.trace"

#: Errors that quote the input: a file without a header has a ticket in place of column names.
_QUOTING = (InvalidLabels, InvalidRequest, InvalidTable, InvalidTemplate, TooLarge)

_bound: ContextVar[Mapping[str, Any]] = ContextVar("facts", default=MappingProxyType({}))


def bind(**facts: Any) -> None:
    """Add ``facts`` to all records of this thread, and drop those bound before."""
    _bound.set(facts)


@contextmanager
def bound(**facts: Any) -> Iterator[None]:
    """Add ``facts`` to the records of this thread for the length of the block."""
    token = _bound.set({**_bound.get(), **facts})
    try:
        yield
    finally:
        _bound.reset(token)


def redacted(error: BaseException) -> str:
    """The type of an exception, and its message if that is safe to log."""
    name = type(error).__name__
    if isinstance(error, YebanError) and not isinstance(error, _QUOTING):
        return f"{name}: {error.detail}"
    if isinstance(error, OSError) and error.strerror is not None:
        return f"{name}: {error.strerror}"
    return name


def facts_of(record: logging.LogRecord) -> dict[str, Any]:
    """Facts of a record: those bound to its thread, then its own."""
    given = {key: value for key, value in vars(record).items() if key not in _STANDARD and not key.startswith("_")}
    return {**_bound.get(), **given}


def exception_text(error: BaseException) -> str:
    """Redacted tracebacks of an exception and its causes, the first cause first."""
    parts: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        frames = "".join(traceback.format_tb(current.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{frames}{redacted(current)}")
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\n\nwhich led to\n\n".join(reversed(parts))


class _Formatter(logging.Formatter):
    def timestamp(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def exception(self, record: logging.LogRecord) -> str | None:
        error = record.exc_info[1] if record.exc_info else None
        return None if error is None else exception_text(error)


class LineFormatter(_Formatter):
    """``2026-11-22T22:00:00.123Z WARNING yeban.chunks.hints hints not sent chunk_count=4``."""

    def format(self, record: logging.LogRecord) -> str:
        facts = " ".join(f"{key}={value}" for key, value in facts_of(record).items())
        line = f"{self.timestamp(record)} {record.levelname} {record.name} {record.getMessage()} {facts}".rstrip()
        exception = self.exception(record)
        return line if exception is None else f"{line}\n{exception}"


class JsonFormatter(_Formatter):
    """One JSON object a line.

    Its keys are ``time``, ``level``, ``logger``, ``message``, ``exception`` if any, and the facts. A fact with one of
    these names gets a trailing underscore.
    """

    def format(self, record: logging.LogRecord) -> str:
        values: dict[str, Any] = {
            "time": self.timestamp(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (exception := self.exception(record)) is not None:
            values["exception"] = exception
        for key, value in facts_of(record).items():
            values[f"{key}_" if key in values else key] = value
        return json.dumps(values, ensure_ascii=False, default=str)


def configure_logging(level: str, form: LogFormat = "line") -> None:
    """Send records of ``level`` and above to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else LineFormatter())
    handler.addFilter(_without_quotes)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def log_uncaught() -> None:
    """Log uncaught exceptions of all threads, and warnings, like other records."""
    logging.captureWarnings(True)
    sys.excepthook = _on_uncaught
    threading.excepthook = _on_uncaught_in_thread


def _without_quotes(record: logging.LogRecord) -> bool:
    if record.name == _QUOTES_MESSAGES and "body" in str(record.msg) + str(record.args):
        record.msg, record.args = "unknown message dropped", ()
    if record.name == _QUOTES_EXCEPTIONS and record.levelno >= logging.WARNING:
        task = record.args.get("name") if isinstance(record.args, Mapping) else None
        record.msg, record.args = "task %s failed", (task,)
    return True


def _on_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("yeban").critical("unexpected error", exc_info=(kind, error, trace))


def _on_uncaught_in_thread(given: threading.ExceptHookArgs) -> None:
    if given.exc_value is not None:
        _on_uncaught(given.exc_type, given.exc_value, given.exc_traceback)
