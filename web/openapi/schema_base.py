"""The base of the API's answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field


class AnswerBody(BaseModel):
    """Base of what is answered: every field is there, and no other.

    Views build dictionaries, not these. ``example`` is an answer as it would be in JSON.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    example: ClassVar[Mapping[str, Any] | None] = None


def maybe_absent() -> Any:
    """A field that some answers do not have; ``null`` is another thing."""
    return Field(default=None, json_schema_extra=_without_default)


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)
