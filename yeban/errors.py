"""Errors that users can meet, each class with a stable ``code``, and their messages.

The codes are part of the public contract (API ``code``, log field, exit status). The web maps them to HTTP statuses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, TypeAlias

#: A parameter of a message: another message, several messages, or a JSON scalar.
Parameter: TypeAlias = "Message | tuple[Message, ...] | str | int | float | bool | None"

_MAX_CHARS = 500


@dataclass(frozen=True)
class Message:
    """A sentence for people: an English gettext message id and its parameters.

    ``id`` has ``%(name)s`` placeholders, and ``%%`` for a percent sign. ``str(message)`` is the English sentence;
    ``web.i18n.messages.translated`` is the sentence in the reader's language.
    """

    id: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.id % {name: _english(value) for name, value in self.parameters.items()}

    @classmethod
    def verbatim(cls, text: str) -> Self:
        """Return a message with the same ``text`` in every language."""
        return cls(text.replace("%", "%%"))

    def to_json(self) -> dict[str, Any]:
        """``{"id": …, "parameters": {…}}``, with nested messages in the same form."""
        return {"id": self.id, "parameters": {name: _to_json(value) for name, value in self.parameters.items()}}

    def dumps(self) -> str:
        """:meth:`to_json` as text, for a ``jsonb`` column."""
        return json.dumps(self.to_json(), ensure_ascii=False)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read the form that :meth:`to_json` writes."""
        return cls(document["id"], {name: _from_json(value) for name, value in document["parameters"].items()})


def msg(message_id: str, /, **parameters: object) -> Message:
    """Create a message. ``scripts/translate`` extracts the literal id of each call into the catalogue.

    An error as a parameter becomes its message; other values that are not JSON become ``str(value)``.
    """
    return Message(message_id, {name: _parameter(value) for name, value in parameters.items()})


def stored_message(document: Mapping[str, Any] | None) -> Message | None:
    """Read the message of a nullable ``jsonb`` column."""
    return None if document is None else Message.from_json(document)


def message_of(error: BaseException) -> Message:
    """Return an expected error's message, or the type and text of another, cut to 500 characters."""
    if isinstance(error, YebanError):
        parameters = error.message.parameters.items()
        return Message(error.message.id, {name: _shortened(value) for name, value in parameters})
    return Message.verbatim(f"{type(error).__name__}: {error}"[:_MAX_CHARS])


def _shortened(value: Parameter) -> Parameter:
    return value[:_MAX_CHARS] if isinstance(value, str) else value


def _parameter(value: object) -> Parameter:
    if isinstance(value, YebanError):
        return value.message
    if value is None or isinstance(value, Message | bool | int | float):
        return value
    if isinstance(value, list | tuple) and all(isinstance(item, Message) for item in value):
        return tuple(value)
    return str(value)


def _english(value: Parameter) -> object:
    return "; ".join(map(str, value)) if isinstance(value, tuple) else value


def _to_json(value: Parameter) -> Any:
    if isinstance(value, Message):
        return value.to_json()
    return [item.to_json() for item in value] if isinstance(value, tuple) else value


def _from_json(value: Any) -> Parameter:
    if isinstance(value, dict):
        return Message.from_json(value)
    return tuple(map(Message.from_json, value)) if isinstance(value, list) else value


class YebanError(Exception):
    """Base of all expected failures.

    ``message`` is one sentence for a person: the fault, its place and the remedy.
    ``context`` holds JSON-serialisable facts for programs (``row``, ``column``, ``limit``, …).
    """

    code: ClassVar[str] = "internal"

    def __init__(self, message: Message, **context: Any) -> None:
        super().__init__(message)
        self.message = message
        self.context = context

    @property
    def detail(self) -> str:
        """The message in English."""
        return str(self.message)


class InvalidRequest(YebanError):
    """A value the caller sent is malformed or out of range."""

    code = "invalid_request"


class InvalidLabels(YebanError):
    """A label set is empty, too large, has duplicates, or a label cannot be scored."""

    code = "invalid_labels"


class InvalidTemplate(YebanError):
    """A hypothesis template without exactly one ``{}``, or one too long."""

    code = "invalid_template"


class InvalidTable(YebanError):
    """A file that cannot be read as a table; ``context["row"]`` is the row number as a spreadsheet shows it."""

    code = "invalid_table"


class UnknownColumn(InvalidTable):
    """The table's header has no column of this name."""

    code = "unknown_column"


class TooLarge(YebanError):
    """A file, cell, text or row count over its configured limit."""

    code = "too_large"


class NotFound(YebanError):
    """The thing does not exist, or the viewer may not see it."""

    code = "not_found"


class Unauthorized(YebanError):
    """The request needs an account, or its name, password or token is wrong."""

    code = "unauthorized"


class RateLimited(YebanError):
    """The account sent too many requests; ``context["retry_after_s"]`` is the time to wait."""

    code = "rate_limited"


class Forbidden(YebanError):
    """The account lacks the permission."""

    code = "forbidden"


class Conflict(YebanError):
    """The request conflicts with the current state, or reuses another request's idempotency key."""

    code = "conflict"


class UnknownModel(YebanError):
    """A model name that is neither built here nor served by any live worker."""

    code = "unknown_model"


class ModelUnusable(YebanError):
    """A model's artifact is missing, damaged, or does not match its manifest."""

    code = "model_unusable"


class EngineUnavailable(YebanError):
    """The requested session or device cannot run here (missing package, driver or hardware)."""

    code = "engine_unavailable"


class EngineFailed(YebanError):
    """The engine raised, or returned scores that are not finite."""

    code = "engine_failed"


class Overloaded(YebanError):
    """The interactive queue is full; ``context["retry_after_s"]`` is the time to wait."""

    code = "overloaded"


class NoAnswer(YebanError):
    """No worker answered an interactive request before its deadline."""

    code = "no_answer"


class ServiceUnavailable(YebanError):
    """PostgreSQL or Redis cannot be reached."""

    code = "unavailable"


class ConfigurationError(YebanError):
    """A setting is missing, malformed or contradicts another."""

    code = "configuration"


def error_from_code(code: str, message: Message) -> YebanError:
    """Return the error for ``code``, as in a worker's answer; the base class for an unknown code."""
    return error_classes().get(code, YebanError)(message)


def error_classes() -> dict[str, type[YebanError]]:
    """Return every error class by its code."""
    found = [YebanError]
    for known in found:
        found.extend(known.__subclasses__())
    return {error.code: error for error in found}
