"""Label sets as files: out as JSON, in as JSON or as a table of names, descriptions and examples."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Sequence

from pydantic import ConfigDict, TypeAdapter, ValidationError

from web.http.parsing import JsonBody
from web.label_sets.input import LabelObject, LabelsField, label_set
from yeban.errors import InvalidLabels, Message, msg
from yeban.label_sets import normalized
from yeban.labels import DEFAULT_TEMPLATE, LabelSet

#: Between the examples of one label in a table.
EXAMPLE_JOINER = "|"
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


class _File(JsonBody):
    # What the API answers has further fields, and may be pasted as it is.
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, allow_inf_nan=False)

    name: str = ""
    labels: LabelsField
    template: str = DEFAULT_TEMPLATE
    multi_label: bool = False
    threshold: float | None = None


_BARE: TypeAdapter[LabelsField] = TypeAdapter(LabelsField)


def exported(name: str, content: LabelSet) -> str:
    """A set as JSON that :func:`imported` reads again."""
    return json.dumps({"name": name, **content.to_json()}, ensure_ascii=False, indent=2)


def imported(document: str) -> tuple[str, LabelSet]:
    """The name ("" where there is none) and the set that a JSON document or a table has.

    JSON is what :func:`exported` writes, or a list of labels; a table has a header with ``name``, and maybe
    ``description`` and ``examples``, parted by commas, semicolons or tabs. Raises
    :class:`~yeban.errors.InvalidLabels`, naming the label, and what bad label sets raise.
    """
    document = document.removeprefix("\ufeff")
    name, found = _of_json(document) if document.lstrip()[:1] in {"{", "["} else ("", _of_table(document))
    return name, normalized(found)


def decoded(content: bytes) -> str:
    """A file's text: UTF-8, UTF-16 with its mark, or what Excel writes in China. Raises ``InvalidLabels``."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "gb18030"]
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InvalidLabels(msg("The file is neither UTF-8 nor GB18030; save it as UTF-8."))


def _of_json(document: str) -> tuple[str, LabelSet]:
    try:
        if document.lstrip().startswith("["):
            given = _File(labels=_BARE.validate_json(document, strict=True))
        else:
            given = _File.model_validate_json(document)
    except ValidationError as error:
        raise InvalidLabels(_what_is_wrong(error, document)) from None
    content = label_set(given.labels, template=given.template, multi_label=given.multi_label, threshold=given.threshold)
    return given.name, content


def _what_is_wrong(error: ValidationError, document: str) -> Message:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return msg("This is not JSON: %(problem)s.", problem=first["msg"].removeprefix("Invalid JSON: "))
    place = [part for part in first["loc"] if not str(part).startswith("@")]
    what = "there is no such field" if first["type"] == "extra_forbidden" else first["msg"]
    what = what[0].lower() + what[1:]
    if place[:1] == ["labels"]:
        place = place[1:]
    if place and isinstance(place[0], int):
        where = [str(_nth(document, place[0])), *map(str, place[1:])]
    else:
        where = list(map(str, place)) or ["labels"]
    return msg("%(problem)s.", problem=f"{': '.join(where)}: {what}")


def _nth(document: str, index: int) -> Message:
    """The label as a person finds it: by its number, and its name if it has one."""
    whole = json.loads(document)
    label = (whole["labels"] if isinstance(whole, dict) else whole)[index]
    name = label.get("name") if isinstance(label, dict) else None
    return (
        msg("Label %(number)s (“%(name)s”)", number=index + 1, name=name[:40])
        if isinstance(name, str) and name
        else msg("Label %(number)s", number=index + 1)
    )


def _of_table(document: str) -> LabelSet:
    header, *lines = _lines(document) or [[]]
    columns = [_COLUMNS.get(cell.strip().lower(), cell.strip()) for cell in header]
    if "name" not in columns:
        raise InvalidLabels(
            msg(
                "The first row has to name the columns: name, and if you like description and examples. "
                "JSON begins with { or [."
            )
        )
    if unknown := [column for column in columns if column not in _COLUMNS.values()]:
        raise InvalidLabels(
            msg("There is no column “%(name)s”; there are name, description and examples.", name=unknown[0][:40])
        )
    if len(set(columns)) < len(columns):
        raise InvalidLabels(msg("A column stands twice in the first row."))
    labels = []
    for number, line in enumerate(lines, 2):
        if not any(cell.strip() for cell in line):
            continue
        row = dict(zip(columns, line, strict=False))
        name = row["name"].strip() if len(line) >= 1 and "name" in row else ""
        if not name:
            raise InvalidLabels(msg("Row %(number)s has no name.", number=number))
        if any(cell.strip() for cell in line[len(columns) :]):
            raise InvalidLabels(
                msg(
                    "Row %(number)s (“%(name)s”) has more cells than the first row; put text with commas in quotes.",
                    number=number,
                    name=name[:40],
                )
            )
        labels.append(_label(number, name, row))
    return label_set(labels, template=DEFAULT_TEMPLATE, multi_label=False, threshold=None)


def _label(number: int, name: str, row: dict[str, str]) -> LabelObject:
    examples = [part.strip() for part in row.get("examples", "").split(EXAMPLE_JOINER)]
    try:
        return LabelObject(name=name, description=row.get("description", ""), examples=list(filter(None, examples)))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        what = first["msg"][0].lower() + first["msg"][1:]
        where = msg("Row %(number)s (“%(name)s”)", number=number, name=name[:40])
        raise InvalidLabels(
            msg("%(where)s: %(field)s: %(what)s.", where=where, field=first["loc"][0], what=what), label=name[:200]
        ) from None


def _lines(document: str) -> Sequence[list[str]]:
    first = document.lstrip().partition("\n")[0]
    delimiter = next((mark for mark in ("\t", ",", ";") if mark in first), ",")
    try:
        return list(csv.reader(io.StringIO(document.strip("\r\n"), newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise InvalidLabels(msg("This is neither JSON nor a table: %(error)s.", error=error)) from None
