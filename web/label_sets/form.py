"""The form of a label set: one row per label, with buttons that need no script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from pydantic import Field
from werkzeug.datastructures import MultiDict

from web.http.parsing import Fields, fields
from web.label_sets.input import LabelSetOptions
from yeban.errors import InvalidLabels, msg
from yeban.labels import MAX_LABELS, Label, LabelSet

#: Maximum rows of the form, blank ones included.
MAX_ROWS = MAX_LABELS + 100

_ROW_FIELDS = ("label", "description", "examples")


@dataclass(frozen=True, kw_only=True)
class LabelRow:
    """One label as typed, with one example per line."""

    label: str = ""
    description: str = ""
    examples: str = ""

    @property
    def blank(self) -> bool:
        """True if all fields are blank."""
        return not (self.label + self.description + self.examples).strip()


class SetForm(LabelSetOptions, Fields):
    """Fields beside the rows. ``version`` is the edited version, ``over`` the newer one to replace."""

    name: str = ""
    version: int | None = Field(default=None, ge=1)
    over: int | None = Field(default=None, ge=1)
    do: str = "save"


def rows_of_form(form: MultiDict[str, str]) -> list[LabelRow]:
    """The rows, blank ones included. Raises :class:`~yeban.errors.InvalidLabels` for more than :data:`MAX_ROWS`."""
    columns = [form.getlist(name) for name in _ROW_FIELDS]
    if (rows := max(map(len, columns))) > MAX_ROWS:
        raise InvalidLabels(
            msg(
                "The form has %(rows)s rows; a label set can have at most %(max_labels)s labels.",
                rows=rows,
                max_labels=MAX_LABELS,
            ),
            limit=MAX_LABELS,
        )
    return [
        LabelRow(label=label, description=description, examples=examples)
        for label, description, examples in zip_longest(*columns, fillvalue="")
    ]


def rows_of_set(label_set: LabelSet) -> list[LabelRow]:
    """Rows of a label set."""
    return [
        LabelRow(label=label.name, description=label.description, examples="\n".join(label.examples))
        for label in label_set.labels
    ]


def fields_of_form(form: MultiDict[str, str]) -> SetForm:
    """The fields beside the rows. Raises :class:`~yeban.errors.InvalidRequest`."""
    return fields(SetForm, MultiDict([item for item in form.items(multi=True) if item[0] not in _ROW_FIELDS]))


def set_of_form(rows: Sequence[LabelRow], asked: SetForm) -> LabelSet:
    """Return the label set without blank rows. Raises the errors of an invalid label set."""
    labels = []
    for number, row in enumerate(rows, 1):
        if row.blank:
            continue
        if not row.label.strip():
            raise InvalidLabels(
                msg("Row %(number)s has no name. Enter one, or remove the row.", number=number), field="label"
            )
        labels.append(
            Label(
                name=row.label.strip(),
                description=row.description.strip(),
                examples=tuple(line for line in row.examples.splitlines() if line.strip()),
            )
        )
    return LabelSet(
        labels=tuple(labels), template=asked.template, multi_label=asked.multi_label, threshold=asked.threshold
    )


def rearranged(rows: Sequence[LabelRow], button: str) -> list[LabelRow] | None:
    """Rows after the button ``add`` or ``remove-<index>``; ``None`` for another button."""
    if button == "add":
        return [*rows, LabelRow()][:MAX_ROWS]
    name, _, index = button.partition("-")
    if name != "remove":
        return None
    kept = [row for number, row in enumerate(rows) if str(number) != index]
    return kept or [LabelRow()]
