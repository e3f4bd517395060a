"""Export label sets as JSON, and import them from JSON or a table."""

from __future__ import annotations

import json
from io import BytesIO

from pydantic import ConfigDict, TypeAdapter, ValidationError

from web.i18n.library_messages import located, of_value
from web.label_sets.input import LabelObject, LabelSetBody, LabelsField, label_set
from yeban.errors import InvalidLabels, Message, msg
from yeban.labels import LabelSet
from yeban.tabular import ReadOptions, open_table
from yeban.tabular.encodings import Undecodable, find_encoding, text_blocks

_EXAMPLE_SEPARATOR = "|"  # in a cell of a table
_COLUMNS = {
    "name": "name",
    "label": "name",
    "description": "description",
    "examples": "examples",
    "名称": "name",
    "标签": "name",
    "说明": "description",
    "例子": "examples",
    "示例": "examples",
}


class _File(LabelSetBody):
    # A response of the API has more fields, and can be pasted unchanged.
    model_config = ConfigDict(extra="ignore")

    name: str = ""


_BARE: TypeAdapter[LabelsField] = TypeAdapter(LabelsField)


def exported(name: str, content: LabelSet) -> str:
    """A label set as JSON that :func:`imported` reads."""
    return json.dumps({"name": name, **content.to_json()}, ensure_ascii=False, indent=2)


def imported(document: str) -> tuple[str, LabelSet]:
    """The name and the labels in a JSON document or a table.

    The name is "" if the document has none. JSON is the form of :func:`exported`, or a list of labels. A table is read
    as CSV or TSV and has a header with ``name``, and optionally ``description`` and ``examples``. Raises
    :class:`~yeban.errors.InvalidLabels`, which names the label, :class:`~yeban.errors.InvalidTable`, and the errors of
    an invalid label set.
    """
    document = document.removeprefix("\ufeff")
    name, found = _of_json(document) if document.lstrip()[:1] in {"{", "["} else ("", _of_table(document))
    return name, found.normalized()


def decoded(content: bytes) -> str:
    """The text of a file in any encoding that tables may have. Raises ``InvalidLabels`` or ``InvalidTable``."""
    file = BytesIO(content)
    try:
        return "".join(text_blocks(file, find_encoding(file, None).name))
    except Undecodable as error:
        raise InvalidLabels(msg("The file is neither UTF-8 nor GB18030. Save it as UTF-8.")) from error


def _of_json(document: str) -> tuple[str, LabelSet]:
    try:
        if document.lstrip().startswith("["):
            given = _File(labels=_BARE.validate_json(document, strict=True))
        else:
            given = _File.model_validate_json(document)
    except ValidationError as error:
        raise InvalidLabels(_what_is_wrong(error, document)) from None
    return given.name, given.with_labels(given.labels)


def _what_is_wrong(error: ValidationError, document: str) -> Message:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return msg("This is not valid JSON: %(problem)s.", problem=first["ctx"]["error"])
    place = [part for part in first["loc"] if not str(part).startswith("@")]
    if place[:1] == ["labels"]:
        place = place[1:]
    if place and isinstance(place[0], int):
        where: list[Message | str] = [_nth(document, place[0]), *map(str, place[1:])]
    else:
        where = [*map(str, place)] or ["labels"]
    return msg("%(problems)s.", problems=[located(where, of_value(first))])


def _nth(document: str, index: int) -> Message:
    """A label's number, with its name if it has one."""
    whole = json.loads(document)
    label = (whole["labels"] if isinstance(whole, dict) else whole)[index]
    name = label.get("name") if isinstance(label, dict) else None
    return (
        msg("Label %(number)s (“%(name)s”)", number=index + 1, name=name[:40])
        if isinstance(name, str) and name
        else msg("Label %(number)s", number=index + 1)
    )


def _of_table(document: str) -> LabelSet:
    # The table's own text column does not matter: every column is read from the cells.
    options = ReadOptions(format="csv", text_column="#1")
    with open_table(BytesIO(document.encode()), "labels.csv", options) as table:
        columns = [_COLUMNS.get(name.strip().lower(), name.strip()) for name in table.header.columns]
        _check_columns(columns)
        labels = [_label(row.file_row, columns, row.cells) for row in table if any(map(str.strip, row.cells))]
    return label_set(labels)


def _check_columns(columns: list[str]) -> None:
    if "name" not in columns:
        raise InvalidLabels(
            msg(
                "The first row must name the columns: name, and optionally description and examples. JSON "
                "starts with { or [."
            )
        )
    if unknown := [column for column in columns if column not in _COLUMNS.values()]:
        raise InvalidLabels(
            msg("Unknown column “%(name)s”. The columns are name, description and examples.", name=unknown[0][:40])
        )
    if len(set(columns)) < len(columns):
        raise InvalidLabels(msg("A column appears twice in the first row."))


def _label(number: int, columns: list[str], cells: tuple[str, ...]) -> LabelObject:
    row = dict(zip(columns, cells, strict=False))
    name = row["name"].strip()
    if not name:
        raise InvalidLabels(msg("Row %(number)s has no name.", number=number))
    if any(map(str.strip, cells[len(columns) :])):
        raise InvalidLabels(
            msg(
                "Row %(number)s (“%(name)s”) has more cells than the first row. Put text with commas in quotes.",
                number=number,
                name=name[:40],
            )
        )
    examples = [part.strip() for part in row.get("examples", "").split(_EXAMPLE_SEPARATOR)]
    try:
        return LabelObject(name=name, description=row.get("description", ""), examples=list(filter(None, examples)))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = (msg("Row %(number)s (“%(name)s”)", number=number, name=name[:40]), str(first["loc"][0]))
        raise InvalidLabels(
            msg("%(problems)s.", problems=[located(where, of_value(first))]), label=name[:200]
        ) from None
