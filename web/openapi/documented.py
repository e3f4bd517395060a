"""What a route tells of itself, beside its view."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

from yeban.errors import YebanError

View = TypeVar("View", bound=Callable[..., Any])

_ATTRIBUTE = "documentation"


@dataclass(frozen=True, kw_only=True)
class Header:
    """A header of a request or an answer. ``schema`` is a JSON schema of its value."""

    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    example: str | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer to a request that succeeds: JSON of ``model``, or a ``content_type``, or nothing.

    ``description`` is the model's own where it is left out.
    """

    model: type[BaseModel] | None = None
    content_type: str | None = None
    description: str = ""
    headers: Mapping[str, Header] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Documentation:
    """Everything about a route that its rule and its methods do not say."""

    group: str
    summaries: Mapping[str, str]  # by the choice that a rule with ``any(…)`` leaves; "" for a rule without
    answers: Mapping[int, Answer]
    description: str
    body: type[BaseModel] | None
    query: type[BaseModel] | None
    form: type[BaseModel] | None
    file: str  # what the form's field "file" holds; "" where it has none
    headers: Mapping[str, Header]
    problems: frozenset[type[YebanError]]
    secured: bool


def documented(
    *,
    group: str,
    summary: str | Mapping[str, str],
    answers: Mapping[int, type[BaseModel] | Answer],
    description: str = "",
    body: type[BaseModel] | None = None,
    query: type[BaseModel] | None = None,
    form: type[BaseModel] | None = None,
    file: str = "",
    headers: Mapping[str, Header] | None = None,
    problems: Collection[type[YebanError]] = (),
    secured: bool = True,
) -> Callable[[View], View]:
    """Record on a view what programs have to know of it; goes between the route and the view.

    ``group`` is one of :data:`web.openapi.document.GROUPS`. ``summary`` is a few words, or some for each choice of a
    rule with ``any(…)``. ``answers`` are those of success, by status. ``body``, ``query`` and ``form`` are the models
    that the view reads, whose ``example`` becomes the sample; a ``form`` with a ``file`` is ``multipart/form-data``.
    ``problems`` are what this view raises by itself: what any route may answer, and what reading its input may, is
    known already. A route that is not ``secured`` wants no token, even where there are accounts.
    """
    found = Documentation(
        group=group,
        summaries={"": summary} if isinstance(summary, str) else summary,
        answers={
            status: answer if isinstance(answer, Answer) else Answer(model=answer) for status, answer in answers.items()
        },
        description=description,
        body=body,
        query=query,
        form=form,
        file=file,
        headers=headers or {},
        problems=frozenset(problems),
        secured=secured,
    )

    def record(view: View) -> View:
        setattr(view, _ATTRIBUTE, found)
        return view

    return record


def documentation_of(view: Callable[..., Any]) -> Documentation | None:
    """What :func:`documented` recorded on ``view``."""
    found: Documentation | None = getattr(view, _ATTRIBUTE, None)
    return found
