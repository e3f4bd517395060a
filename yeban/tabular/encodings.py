"""Detect the encoding of a file, and decode it in blocks.

Detection uses the byte order mark, then strict UTF-8 over the whole file, then strict GB18030 over the whole file, and
no statistics.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from yeban.errors import InvalidRequest, InvalidTable, msg

_BLOCK_BYTES = 1 << 18
_SAMPLE_BYTES = 1 << 16

# UTF-32 first: its little-endian mark starts with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Files declared as these often hold characters that only GB18030 has.
_SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030"}
_NOT_FOR_FILES = frozenset({"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "charmap"})

# A GBK character is valid UTF-8 with a probability of about 1 in 7, so this many in a row are UTF-8.
_UTF8_EVIDENCE_CHARS = 8


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """A codec for a file. ``bad_byte`` is the offset of the first byte that it cannot decode, if any."""

    name: str
    bad_byte: int | None = None


class Undecodable(Exception):
    """Invalid byte in ``encoding``, at ``offset`` from the start of the file."""

    def __init__(self, offset: int, encoding: str) -> None:
        super().__init__(offset, encoding)
        self.offset = offset
        self.encoding = encoding


def find_encoding(file: BinaryIO, override: str | None) -> Encoding:
    """Detect the encoding of a file, reading all of it.

    If no candidate fits, returns the one that decoded the most, with ``bad_byte`` set. Raises ``InvalidRequest`` for an
    unknown ``override``, and ``InvalidTable`` for an empty file or UTF-16 without a byte order mark.
    """
    file.seek(0)
    sample = file.read(_SAMPLE_BYTES)
    if not sample:
        raise InvalidTable(msg("The file is empty."))
    mark = next((name for bom, name in _MARKS if sample.startswith(bom)), None)
    if override is not None:
        return _checked(file, _resolve(override, mark))
    if mark is not None:
        return _checked(file, mark)
    _refuse_unmarked_utf16(sample)
    utf8 = _checked(file, "utf-8")
    if utf8.bad_byte is None or _is_damaged_utf8(file, utf8.bad_byte):
        return utf8
    gb18030 = _checked(file, "gb18030")
    if gb18030.bad_byte is None or gb18030.bad_byte > utf8.bad_byte:
        return gb18030
    return utf8


def text_blocks(file: BinaryIO, encoding: str) -> Iterator[str]:
    """Decode a file from its start in blocks, without its byte order mark.

    Raises ``Undecodable`` after yielding all text before the bad byte.
    """
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    file.seek(0)
    read_bytes = 0
    at_start = True
    while True:
        data = file.read(_BLOCK_BYTES)
        read_bytes += len(data)
        failed = None
        try:
            text = decoder.decode(data, not data)
        except UnicodeDecodeError as error:
            # error.object starts with the bytes that the decoder had kept from the last block.
            failed = Undecodable(read_bytes - len(error.object) + error.start, encoding)
            text = error.object[: error.start].decode(encoding, "replace")
        if at_start and text:
            text = text.removeprefix("\ufeff")
            at_start = False
        if text:
            yield text
        if failed is not None:
            raise failed
        if not data:
            return


def _checked(file: BinaryIO, encoding: str) -> Encoding:
    """Decode the whole file and discard the text. Failing after a million stored rows would cost more."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    file.seek(0)
    read_bytes = 0
    while True:
        data = file.read(_BLOCK_BYTES)
        read_bytes += len(data)
        try:
            decoder.decode(data, not data)
        except UnicodeDecodeError as error:
            return Encoding(name=encoding, bad_byte=read_bytes - len(error.object) + error.start)
        if not data:
            return Encoding(name=encoding)


def _resolve(override: str, mark: str | None) -> str:
    """The codec of an encoding option. A byte order mark decides between variants of UTF-16 and UTF-32."""
    try:
        codec = codecs.lookup(override.strip())
    except (LookupError, ValueError):
        codec = None
    # The flag distinguishes text encodings from transformations such as base64; it has no public name.
    if codec is None or not getattr(codec, "_is_text_encoding", True) or codec.name in _NOT_FOR_FILES:
        raise InvalidRequest(
            msg(
                "The encoding %(override)s is unknown. Use utf-8, gb18030, big5 or utf-16, or leave it out.",
                override=repr(override),
            ),
            field="encoding",
        )
    name = codec.name
    if name in {"utf-16", "utf-32"}:
        return mark if mark is not None and mark.startswith(name) else f"{name}-le"
    if name == "utf-8" and mark == "utf-8-sig":
        return mark
    return _SUPERSETS.get(name, name)


def _is_damaged_utf8(file: BinaryIO, bad_byte: int) -> bool:
    """True if the text before the bad byte is evidently UTF-8.

    A damaged UTF-8 file is often valid GB18030, in which every character would be wrong.
    """
    start = max(0, bad_byte - _SAMPLE_BYTES)
    file.seek(start)
    before = file.read(bad_byte - start).decode("utf-8", "ignore")
    return sum(char > "\x7f" for char in before) >= _UTF8_EVIDENCE_CHARS


def _refuse_unmarked_utf16(sample: bytes) -> None:
    """Raise ``InvalidTable`` if NUL bytes indicate UTF-16; other text may hold a few NULs."""
    for encoding, odd in (("utf-16-le", 1), ("utf-16-be", 0)):
        nuls, others = sample[odd::2].count(0), sample[1 - odd :: 2].count(0)
        if nuls < 3 or others * 10 > nuls:
            continue
        # Latin text has a NUL in nearly every unit; Chinese text only in commas, line ends and digits.
        latin = nuls * 5 >= len(sample)
        if latin or (nuls * 100 >= len(sample) and _reads_as(sample, encoding)):
            raise InvalidTable(
                msg(
                    "The file looks like UTF-16 without a byte order mark. Save it as UTF-8, or choose its "
                    "encoding: %(encoding)s.",
                    encoding=encoding,
                ),
                encoding=encoding,
            )


def _reads_as(sample: bytes, encoding: str) -> bool:
    """True if UTF-16 decodes to lines of ordinary Chinese and ASCII text."""
    text = sample[: len(sample) & ~1].decode(encoding, "replace")
    ordinary = sum(
        char in "\t\r\n" or " " <= char <= "~" or "\u3000" <= char <= "\u9fff" or "\uff00" <= char <= "\uffef"
        for char in text
    )
    return ("\n" in text or "\r" in text) and ordinary >= 0.95 * len(text)
