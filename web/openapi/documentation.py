"""Documentation of a route, recorded on its view."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict, TypeVar

from pydantic import BaseModel

from yeban.errors import YebanError

View = TypeVar("View", bound=Callable[..., Any])


class Header(TypedDict):
    """A header of a request or an answer, as in OpenAPI."""

    description: str
    schema: Mapping[str, Any]
    example: NotRequired[str]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A successful answer: JSON of ``model``, content of ``content_type``, or nothing.

    ``description`` defaults to the docstring of the model.
    """

    model: type[BaseModel] | None = None
    content_type: str | None = None
    description: str = ""
    headers: Mapping[str, Header] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class documented:  # noqa: N801  # used as a decorator
    """Document a view; goes between the route and the view.

    ``group`` is one of :data:`web.openapi.document.GROUPS`. ``summary`` is one phrase, or one for each choice of a rule
    with ``any(…)``. ``answers`` are the successful ones, by status. ``body``, ``query`` and ``form`` are the models the
    view reads; their ``example`` appears in the samples. A ``form`` with a ``file`` is ``multipart/form-data``.
    ``problems`` are the errors that the view itself raises; errors of any route, and of reading input, are added.
    """

    group: str
    summary: str | Mapping[str, str]
    answers: Mapping[int, type[BaseModel] | Answer]
    description: str = ""
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    form: type[BaseModel] | None = None
    file: str = ""
    headers: Mapping[str, Header] = field(default_factory=dict)
    problems: Collection[type[YebanError]] = ()

    def __call__(self, view: View) -> View:
        view.documentation = self  # type: ignore[attr-defined]
        return view


def documentation_of(view: Callable[..., Any]) -> documented | None:
    """Return the documentation of ``view``; ``None`` if it has none."""
    return getattr(view, "documentation", None)
