"""Find the text column and the gold column in a header."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from yeban.errors import InvalidRequest, Message, UnknownColumn, msg

# Names of the text column when the user names none, best first.
TEXT_COLUMN_NAMES = (
    "text",
    "文本",
    "工单内容",
    "问题描述",
    "投诉内容",
    "留言内容",
    "评论内容",
    "内容",
    "正文",
    "content",
    "message",
    "body",
    "ticket",
    "comment",
    "review",
    "问题",
    "描述",
    "留言",
    "评论",
    "description",
    "question",
    "sentence",
    "query",
)

_NUMBER = re.compile(r"#([1-9]\d{0,5})")


def find_column(columns: Sequence[str], name: str, *, role: Message) -> int:
    """Index of the column with the given name.

    ``name`` is exact, or without case and outer blanks, or a number such as ``#3``. ``role`` appears in errors, as in
    "text column". Raises ``UnknownColumn`` for a name of no column or of several.
    """
    exact = [index for index, column in enumerate(columns) if column == name]
    found = exact or [index for index, column in enumerate(columns) if _plain(column) == _plain(name)]
    if len(found) == 1:
        return found[0]
    if found:
        numbers = [f"#{index + 1}" for index in found]
        raise UnknownColumn(
            msg(
                "The header has %(count)s columns named “%(name)s”: %(numbers)s. Choose the %(role)s by its number.",
                count=len(found),
                name=name,
                numbers=", ".join(numbers),
                role=role,
            ),
            column=name,
            columns=list(columns),
            candidates=numbers,
        )
    number = _NUMBER.fullmatch(name.strip())
    if number is not None and int(number[1]) <= len(columns):
        return int(number[1]) - 1
    raise UnknownColumn(
        msg(
            "There is no column “%(name)s” for the %(role)s. The columns are: %(columns)s.",
            name=name,
            role=role,
            columns=describe(columns),
        ),
        column=name,
        columns=list(columns),
    )


def find_text_column(columns: Sequence[str], name: str | None, *, first_row: tuple[int, int] | None) -> int:
    """Index of the text column.

    It is the given one, else one with a well-known name, else the only one. ``first_row`` is the row number and the
    number of cells of the first data row: if it has several cells and the header one, the header is probably a title.
    Values never decide, because labelling a million wrong cells costs more than asking.
    """
    if name is not None:
        return find_column(columns, name, role=msg("text column"))
    plain = [_plain(column) for column in columns]
    for known in TEXT_COLUMN_NAMES:
        if known in plain:
            return find_column(columns, columns[plain.index(known)], role=msg("text column"))
    if len(columns) == 1:
        if first_row is not None and first_row[1] > 1:
            raise UnknownColumn(
                msg(
                    "The first line has one cell, “%(cell)s”, but row %(row)s has %(second)s. If the first "
                    "line is a title above the header, delete it; otherwise choose the text column.",
                    cell=columns[0],
                    row=first_row[0],
                    second=first_row[1],
                ),
                row=first_row[0],
                columns=list(columns),
            )
        return 0
    raise UnknownColumn(
        msg(
            "Choose the text column: no column has a name such as text or 内容. The columns are: %(columns)s.",
            columns=describe(columns),
        ),
        columns=list(columns),
    )


def find_gold_column(columns: Sequence[str], name: str | None, *, text_index: int) -> int | None:
    """Index of the gold column, if one is given. It is never guessed."""
    if name is None:
        return None
    index = find_column(columns, name, role=msg("gold column"))
    if index == text_index:
        raise InvalidRequest(
            msg("The column “%(name)s” cannot be both the text column and the gold column.", name=name),
            field="gold_column",
        )
    return index


def describe(columns: Sequence[str], *, most: int = 30) -> str:
    """Column names with their numbers, for an error message."""
    shown = [f"#{index} “{_shortened(column)}”" for index, column in enumerate(columns[:most], start=1)]
    if len(columns) > most:
        shown.append(f"and {len(columns) - most} more")
    return ", ".join(shown)


def _shortened(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:39]}…"


def _plain(name: str) -> str:
    """A name without case, outer blanks and full-width forms."""
    return unicodedata.normalize("NFKC", name).strip().casefold()
