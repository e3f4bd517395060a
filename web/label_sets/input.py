"""Label sets in requests: a comma-separated string, a list, or a saved set."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError

from web.auth.authentication import viewer
from web.http.parsing import Fields, JsonBody, documented_limit
from web.i18n.library_messages import of_value
from web.services import services
from yeban import label_sets
from yeban.errors import InvalidLabels, InvalidRequest, NotFound, msg
from yeban.label_sets import SavedSet
from yeban.labels import (
    DEFAULT_TEMPLATE,
    MAX_EXAMPLES,
    MAX_HINT_CHARS,
    MAX_LABEL_CHARS,
    MAX_LABELS,
    MAX_TEMPLATE_CHARS,
    Label,
    LabelSet,
    check_count,
    split_labels,
)

#: Separators of names in a form field, beside line breaks; a name that contains one needs a JSON list.
SEPARATORS = ",，、"

_PARTED = re.compile(f"[{SEPARATORS}\r\n]")
_REFERENCE = re.compile(r"([0-9a-fA-F-]{36})(?:@([1-9][0-9]{0,9}))?")

# PostgreSQL stores no NUL character.
_Hint = Annotated[str, Field(max_length=MAX_HINT_CHARS, pattern=r"^[^\x00]*$")]


class LabelObject(JsonBody):
    """A label with optional help for the model."""

    name: str = Field(**documented_limit(minLength=1, maxLength=MAX_LABEL_CHARS))
    """At most 200 characters, each name once."""
    description: _Hint = ""
    """Explains the label to the model."""
    examples: Annotated[list[_Hint], Field(max_length=MAX_EXAMPLES, default_factory=list)]
    """Texts with this label."""


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
        custom_error_message=str(msg("a label must be a name, or an object with a name")),
    ),
]

#: Labels in JSON.
LabelsField = Annotated[
    Annotated[str, Tag("@text")] | Annotated[list[_OneLabel], Field(max_length=MAX_LABELS), Tag("@list")],
    Discriminator(
        _kind_of_labels,
        custom_error_type="labels",
        custom_error_message=str(msg("labels must be a list, or a comma-separated string")),
    ),
]

_FROM_JSON: TypeAdapter[list[str | LabelObject]] = TypeAdapter(Annotated[list[_OneLabel], Field(max_length=MAX_LABELS)])


def label_set(
    labels: str | Sequence[str | LabelObject],
    *,
    template: str = DEFAULT_TEMPLATE,
    multi_label: bool = False,
    threshold: float | None = None,
) -> LabelSet:
    """Build and check a label set. Raises ``InvalidLabels``, ``InvalidTemplate``, ``InvalidRequest``."""
    given = split_labels(labels) if isinstance(labels, str) else labels
    check_count(len(given))
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


class LabelSetOptions(BaseModel):
    """Fields of a label set beside its labels, for bodies and forms."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    template: str = Field(DEFAULT_TEMPLATE, **documented_limit(minLength=2, maxLength=MAX_TEMPLATE_CHARS))
    """The hypothesis; `{}` stands for the label."""
    multi_label: bool = False
    """Whether a text can have several labels, or none."""
    threshold: float | None = Field(None, **documented_limit(minimum=0, maximum=1))
    """Minimum probability of an assigned label, 0 to 1. Defaults to 0, and to 0.5 with `multi_label`."""

    def with_labels(self, labels: str | Sequence[str | LabelObject]) -> LabelSet:
        """Build and check the label set. Raises as :func:`label_set` does."""
        return label_set(labels, template=self.template, multi_label=self.multi_label, threshold=self.threshold)


class Labels(BaseModel):
    """Base that puts ``labels`` before the options; bodies and forms have types of their own."""

    labels: Any


class LabelSetBody(LabelSetOptions, Labels, JsonBody):
    """A label set in a JSON body."""

    labels: LabelsField
    """Names or objects, 1,000 at most; or one string, split at `,` and `，`."""


class LabelSetForm(LabelSetOptions, Labels, Fields):
    """A label set in a form, or a reference to a saved one."""

    labels: list[str] = Field(default_factory=list)
    """One field per name; or one field, split at `,`, `，`, `、` and line breaks; or one with a JSON list of names, or
    of objects with `name`, `description` and `examples`."""
    label_set: Annotated[str, Field(max_length=200)] | None = None
    """A saved label set, as `<id>` or `<id>@<version>`, instead of `labels`, `template`, `multi_label` and
    `threshold`."""


#: Fields that a saved label set replaces.
SET_FIELDS = frozenset({"labels", *LabelSetOptions.model_fields})


def labels_of_form(values: Sequence[str]) -> str | Sequence[str | LabelObject]:
    """Read labels of form fields: one name per field, or a single field with a JSON list or names separated by commas
    (``,`` ``，`` ``、``) or line breaks.

    Raises :class:`~yeban.errors.InvalidLabels`.
    """
    if len(values) != 1:
        return list(values)
    text = values[0].strip()
    if not text.startswith("["):
        return _PARTED.sub(",", text)
    try:
        return _FROM_JSON.validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InvalidLabels(
            msg("The labels start with [ but are not a JSON list of labels: %(problem)s.", problem=of_value(first))
        ) from None


def labels_text(names: Sequence[str], joiner: str = "\n") -> str:
    """Write names as one form field that :func:`labels_of_form` reads."""
    plain = all(name and name == name.strip() and not _PARTED.search(name) for name in names)
    if plain and not names[0].startswith("["):
        return joiner.join(names)
    return json.dumps(list(names), ensure_ascii=False)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A reference to a saved set and a version, the newest by default."""

    id: uuid.UUID
    version: int | None = None


class LabelSetObject(JsonBody):
    """A reference to a saved set in JSON."""

    id: str
    version: int | None = Field(None, **documented_limit(minimum=1))
    """Defaults to the newest version."""


def _kind_of_reference(value: Any) -> str | None:
    if isinstance(value, str):
        return "@id"
    return "@object" if isinstance(value, dict | LabelSetObject) else None


#: A reference to a saved set, as a string or an object.
LabelSetField = Annotated[
    Annotated[str, Tag("@id")] | Annotated[LabelSetObject, Tag("@object")],
    Discriminator(
        _kind_of_reference,
        custom_error_type="label_set",
        custom_error_message=str(msg("a label set must be an id, or an object with an id and a version")),
    ),
]


def reference(given: str | LabelSetObject) -> Reference:
    """Read ``<id>``, ``<id>@<version>``, or their object. Raises :class:`~yeban.errors.InvalidRequest`."""
    if isinstance(given, LabelSetObject):
        found = reference(given.id)
        if found.version is not None and given.version is not None:
            raise InvalidRequest(msg("label_set: the version appears twice. Give it once."), field="label_set")
        return found if given.version is None else Reference(id=found.id, version=given.version)
    parts = _REFERENCE.fullmatch(given)
    try:
        if parts is None:
            raise ValueError
        return Reference(id=uuid.UUID(parts[1]), version=int(parts[2]) if parts[2] else None)
    except ValueError:
        raise InvalidRequest(
            msg("label_set: give the id of a label set, optionally followed by @ and a version number."),
            field="label_set",
        ) from None


def find_saved(wanted: Reference) -> SavedSet:
    """Return the set if the viewer may see it. Raises :class:`~yeban.errors.NotFound`."""
    return label_sets.get_set(services().database, wanted.id, version=wanted.version, viewer=viewer())


def label_set_of_form(form: LabelSetForm) -> LabelSet:
    """Read the label set of a form: a saved set, or its fields.

    A page's form has both: the fields win, and the saved set adds descriptions and examples to labels of the same name.
    Raises the errors of :func:`label_set`, and ``NotFound`` for an unknown set without fields.
    """
    wanted = None if form.label_set is None else reference(form.label_set)
    if wanted is not None and not form.labels:
        return find_saved(wanted).content.label_set
    given = labels_of_form(form.labels)
    if wanted is not None:
        given = _with_help(split_labels(given) if isinstance(given, str) else given, wanted)
    return form.with_labels(given)


def refuse_both(asked: BaseModel) -> None:
    """Reject a program's request with both a saved set and fields. Raises ``InvalidRequest``."""
    given = {name for name in asked.model_fields_set if getattr(asked, name) is not None}
    if "label_set" in given and (other := sorted(given & SET_FIELDS)):
        raise InvalidRequest(
            msg("Give either label_set or %(other)s, not both.", other=", ".join(other)),
            field="label_set",
        )


def prefill(args: Mapping[str, str]) -> dict[str, str]:
    """Form values from a query string: a saved set's, overridden by its own.

    Reads ``label_set`` (and ``version``), ``labels``, ``template``, ``multi_label``, ``threshold`` and ``model``.
    Raises ``InvalidRequest`` for a malformed reference, ``NotFound`` for an unknown set.
    """
    values: dict[str, str] = {}
    if named := args.get("label_set"):
        version = args.get("version")
        values = values_of(find_saved(reference(f"{named}@{version}" if version else named)))
    for name in ("labels", "template", "threshold", "model"):
        if (value := args.get(name)) is not None:
            values[name] = value
    if (multi_label := args.get("multi_label")) is not None:
        values["multi_label"] = "on" if multi_label.lower() in {"on", "true", "1", "yes"} else ""
    return {name: value for name, value in values.items() if value}


def values_of(saved: SavedSet) -> dict[str, str]:
    """Form values of a saved set."""
    content = saved.content.label_set
    return {
        "labels": labels_text(content.names),
        "template": "" if content.template == DEFAULT_TEMPLATE else content.template,
        "multi_label": "on" if content.multi_label else "",
        "threshold": "" if content.threshold is None else repr(content.threshold),
        "label_set": f"{saved.id}@{saved.content.version}",
    }


def _with_help(given: Sequence[str | LabelObject], wanted: Reference) -> list[str | LabelObject]:
    check_count(len(given))
    try:
        saved = find_saved(wanted).content.label_set
    except NotFound:
        return list(given)  # deleted meanwhile: the names remain
    known = {label.name: label for label in saved.labels}
    return [
        LabelObject(name=label.name, description=label.description, examples=list(label.examples))
        if isinstance(name, str) and (label := known.get(name.strip())) is not None
        else name
        for name in given
    ]
