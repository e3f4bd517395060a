"""Label sets as callers write them: a string with commas, a list of names, or a list of objects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, TypeAdapter, ValidationError

from web.edge import JsonBody, told
from yeban.errors import InvalidLabels
from yeban.labels import MAX_LABEL_CHARS, MAX_LABELS, Label, LabelSet, split_labels

_MAX_HINT_CHARS = 500
_MAX_EXAMPLES = 20

# PostgreSQL stores no NUL character.
_Hint = Annotated[str, Field(max_length=_MAX_HINT_CHARS, pattern=r"^[^\x00]*$")]


class LabelObject(JsonBody):
    """A label with optional help for the model."""

    name: str = Field(**told(minLength=1, maxLength=MAX_LABEL_CHARS))
    """At most 200 characters, each name once."""
    description: _Hint = ""
    """Says more of what is meant than the name."""
    examples: Annotated[list[_Hint], Field(max_length=_MAX_EXAMPLES, default_factory=list)]
    """Texts that have this label."""


def _kind_of_label(value: Any) -> str | None:
    if isinstance(value, str):
        return "@name"
    return "@object" if isinstance(value, dict | LabelObject) else None


def _kind_of_labels(value: Any) -> str | None:
    if isinstance(value, str):
        return "@text"
    return "@list" if isinstance(value, list) else None


_OneLabel = Annotated[
    Annotated[str, Tag("@name")] | Annotated[LabelObject, Tag("@object")],
    Discriminator(
        _kind_of_label,
        custom_error_type="label",
        custom_error_message="a label is a name, or an object with a name",
    ),
]

#: How labels come in JSON.
LabelsField = Annotated[
    Annotated[str, Tag("@text")] | Annotated[list[_OneLabel], Field(max_length=MAX_LABELS), Tag("@list")],
    Discriminator(
        _kind_of_labels,
        custom_error_type="labels",
        custom_error_message="labels are a list, or a string with commas between them",
    ),
]

_FROM_JSON: TypeAdapter[list[str | LabelObject]] = TypeAdapter(Annotated[list[_OneLabel], Field(max_length=MAX_LABELS)])


def label_set(
    labels: str | Sequence[str | LabelObject], *, template: str, multi_label: bool, threshold: float | None
) -> LabelSet:
    """Build and check a label set. Raises ``InvalidLabels``, ``InvalidTemplate``, ``InvalidRequest``."""
    given = split_labels(labels) if isinstance(labels, str) else labels
    return LabelSet(
        labels=tuple(
            Label(name=label.strip())
            if isinstance(label, str)
            else Label(name=label.name.strip(), description=label.description, examples=tuple(label.examples))
            for label in given
        ),
        template=template,
        multi_label=multi_label,
        threshold=threshold,
    )


def labels_of_form(values: Sequence[str]) -> str | Sequence[str | LabelObject]:
    """Labels of form fields: several fields are one name each; a single one is a JSON list, or names with commas
    or line breaks between them.

    Raises :class:`~yeban.errors.InvalidLabels`.
    """
    if len(values) != 1:
        return list(values)
    text = values[0].strip()
    if not text.startswith("["):
        return re.sub(r"[\r\n]+", ",", text)
    try:
        return _FROM_JSON.validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise InvalidLabels(f"The labels begin with [ but are no JSON list of labels: {first['msg']}.") from None
