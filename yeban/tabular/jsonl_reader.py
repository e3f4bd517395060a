"""Read JSON Lines, one object a line, as a stream of records."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from itertools import chain
from typing import Any, BinaryIO, Literal

from yeban.errors import InvalidTable, Message, TooLarge, msg
from yeban.tabular.csv_reader import undecodable
from yeban.tabular.encodings import Undecodable, text_blocks
from yeban.tabular.lines import LineBlocks, LineTooLong
from yeban.tabular.model import ReadOptions, Record

_AHEAD_OBJECTS = 100
_AHEAD_CHARS = 1 << 20
_MIN_LINE_CHARS_LIMIT = 1 << 22


class JsonLinesReader:
    """Records of a JSONL file, the header first.

    The columns are the keys of the first objects (up to 100, or 1 Mi characters) in order of appearance. Other keys go
    into one extra cell at the end of the row, as a JSON object; so does a line that is not an object, unchanged. String
    values become cells unchanged, ``null`` and missing keys become ``""``, other values become JSON text. Blank lines
    are skipped.
    """

    delimiter = None
    format: Literal["jsonl"] = "jsonl"

    def __init__(self, file: BinaryIO, encoding: str, options: ReadOptions) -> None:
        self.encoding = encoding
        self._file = file
        self._max_line_chars = max(_MIN_LINE_CHARS_LIMIT, 2 * options.max_cell_chars)
        self._line_no = 0

    def records(self) -> Generator[Record, None, None]:
        """Yield the header as line 0, then each line. Raises ``InvalidTable`` or ``TooLarge`` with its row."""
        try:
            columns = self._columns()
            yield 0, list(columns), None
            positions = {name: index for index, name in enumerate(columns)}
            for line_no, line in self._lines():
                cells = [""] * len(columns)
                problem = None
                try:
                    _fill(cells, _parse(line), positions)
                except _BadLineError as error:
                    problem = error.message
                    cells.append(line)
                yield line_no, cells, problem
        except Undecodable as error:
            raise undecodable(error, self._line_no + 1) from error
        except LineTooLong as error:
            raise TooLarge(
                msg(
                    "Line %(line)s is longer than %(max_line_chars)s characters.",
                    line=self._line_no + 1,
                    max_line_chars=self._max_line_chars,
                ),
                row=self._line_no + 1,
                limit=self._max_line_chars,
            ) from error

    def _lines(self) -> Iterator[tuple[int, str]]:
        blocks = LineBlocks(text_blocks(self._file, self.encoding), self._max_line_chars)
        self._line_no = 0
        for number, line in enumerate(chain.from_iterable(blocks), start=1):
            self._line_no = number
            bare = line.strip(" \t\r\n")
            if bare:
                yield number, bare

    def _columns(self) -> tuple[str, ...]:
        columns: dict[str, None] = {}
        objects = chars = 0
        first_problem: tuple[int, Message] | None = None
        for number, line in self._lines():
            chars += len(line)
            try:
                columns.update(dict.fromkeys(_parse(line)))
                objects += 1
            except _BadLineError as error:
                first_problem = first_problem or (number, error.message)
            if objects >= _AHEAD_OBJECTS or chars >= _AHEAD_CHARS:
                break
        if columns:
            return tuple(_printable(name) for name in columns)
        if first_problem is not None:
            number, problem = first_problem
            raise InvalidTable(
                msg("Line %(number)s: %(problem)s. JSONL needs one object per line.", number=number, problem=problem),
                row=number,
            )
        raise InvalidTable(msg("The file has no data rows."))


class _BadLineError(ValueError):
    """A line that is not a single JSON object."""

    def __init__(self, message: Message) -> None:
        super().__init__(message)
        self.message = message


def is_object(line: str) -> bool:
    """True if a line is a single JSON object."""
    try:
        _parse(line)
    except _BadLineError:
        return False
    return True


def _parse(line: str) -> dict[str, Any]:
    try:
        value = _decode(line)
    except json.JSONDecodeError as error:
        raise _BadLineError(
            msg("not a JSON object (%(problem)s at character %(position)s)", problem=error.msg, position=error.pos + 1)
        ) from None
    except _RepeatedKeyError as error:
        raise _BadLineError(msg("the key %(key)s appears twice in one object", key=repr(error.args[0]))) from None
    except (ValueError, RecursionError):
        # Python limits the digits of an integer and the depth of nesting.
        raise _BadLineError(msg("not a JSON object (a number or its nesting is too large)")) from None
    if not isinstance(value, dict):
        raise _BadLineError(msg("not a JSON object"))
    return value


class _RepeatedKeyError(ValueError):
    """A key that occurs twice in one object."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _RepeatedKeyError(next(key for key in keys if keys.count(key) > 1))
    return value


_decode = json.JSONDecoder(object_pairs_hook=_object).decode


def _fill(cells: list[str], value: dict[str, Any], positions: dict[str, int]) -> None:
    extra: dict[str, Any] = {}
    for key, item in value.items():
        index = positions.get(key)
        if index is None:
            extra[key] = item
        else:
            cells[index] = _cell(item)
    if extra:
        cells.append(_cell(extra))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return _printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _printable(text: str) -> str:
    r"""Text that can be stored: half a surrogate pair stays an escape (``\ud83d``)."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
