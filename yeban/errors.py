"""Every error a user can meet: one shallow tree, each class with a stable ``code``.

The codes are part of the public contract (API ``code``, log field, exit codes);
how each maps to an HTTP status is the web's business.
"""

from __future__ import annotations

from typing import Any, ClassVar


class YebanError(Exception):
    """Base of all expected failures.

    ``detail`` is one sentence for a person: what is wrong, where, and what to do.
    ``context`` holds JSON-serialisable facts for programs (``row``, ``column``, ``limit``, …).
    """

    code: ClassVar[str] = "internal"

    def __init__(self, detail: str, **context: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.context = context


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
    """A column was named that the table's header does not have."""

    code = "unknown_column"


class TooLarge(YebanError):
    """A file, cell, text or row count over its configured limit."""

    code = "too_large"


class NotFound(YebanError):
    """No such job (or it is not the caller's)."""

    code = "not_found"


class Unauthorized(YebanError):
    """Nobody may do that without signing in, or the name, password or token is wrong."""

    code = "unauthorized"


class RateLimited(YebanError):
    """Whoever asks has asked too often; ``context["retry_after_s"]`` says when to try again."""

    code = "rate_limited"


class Forbidden(YebanError):
    """Whoever asks may not do that."""

    code = "forbidden"


class Conflict(YebanError):
    """The request does not fit the job's present state, or an idempotency key was reused for another request."""

    code = "conflict"


class UnknownModel(YebanError):
    """A model name that is neither built here nor served by any live worker."""

    code = "unknown_model"


class ModelUnusable(YebanError):
    """A model's artifact is missing, damaged, or does not match its manifest."""

    code = "model_unusable"


class EngineUnavailable(YebanError):
    """A session or device was asked for that cannot run here (missing package, driver or hardware)."""

    code = "engine_unavailable"


class EngineFailed(YebanError):
    """The engine raised, or returned scores that are not finite."""

    code = "engine_failed"


class Overloaded(YebanError):
    """The interactive queue is full; ``context["retry_after_s"]`` says when to try again."""

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


def error_from_code(code: str, detail: str) -> YebanError:
    """The error that ``code`` stands for, as when a worker's answer names one; an unknown code gives the base."""
    return error_classes().get(code, YebanError)(detail)


def error_classes() -> dict[str, type[YebanError]]:
    """Every error class by its code."""
    found = [YebanError]
    for known in found:
        found.extend(known.__subclasses__())
    return {error.code: error for error in found}


def phrase(text: str) -> str:
    """``text`` itself. Marks words that pages show in the reader's language, where no error's first argument does.

    What is an error's first argument is found without it (``scripts/translate``).
    """
    return text
