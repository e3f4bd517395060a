"""Refuse zip bombs and archives that are not workbooks."""

from __future__ import annotations

import os
import struct
import zipfile
from typing import BinaryIO

from yeban.errors import InvalidTable, TooLarge, msg

_MAX_MEMBERS = 10_000
_MAX_DIRECTORY_BYTES = 4 << 20
_MAX_UNPACKED_BYTES = 2 << 30
# Sheets compress about 10:1, very uniform ones 60:1; the limit of deflate is 1032:1.
_MAX_RATIO = 200
_RATIO_FREE_BYTES = 64 << 20

_END = struct.Struct("<4s8xL")  # the record at the end of an archive, with the directory's size in bytes
_END64 = struct.Struct("<4s36xQ")  # its 64-bit form, followed by a locator of 20 bytes
_LOCATOR_BYTES = 20
_MAX_TAIL_BYTES = (1 << 16) + 22 + _LOCATOR_BYTES + 56


def check_archive(file: BinaryIO) -> None:
    """Raise ``TooLarge`` or ``InvalidTable`` for an archive that is unsafe to open.

    ``zipfile`` reads no more bytes than the directory declares, so the declared sizes are bounds. Raises the errors of
    ``zipfile`` for a damaged archive.
    """
    if _directory_bytes(file) > _MAX_DIRECTORY_BYTES:
        raise TooLarge(msg("The workbook contains too many files. Save the table as CSV."), limit=_MAX_DIRECTORY_BYTES)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        _check_sizes(members)
        _check_kind(members)


def _check_sizes(members: list[zipfile.ZipInfo]) -> None:
    if len(members) > _MAX_MEMBERS:
        raise TooLarge(
            msg(
                "The workbook contains more than %(max_members)s files. Save the table as CSV.",
                max_members=_MAX_MEMBERS,
            ),
            limit=_MAX_MEMBERS,
        )
    unpacked_bytes = sum(member.file_size for member in members)
    if unpacked_bytes > _MAX_UNPACKED_BYTES:
        raise TooLarge(
            msg(
                "The workbook unpacks to %(megabytes)s MiB; the limit is %(limit)s MiB. Save the table as CSV.",
                megabytes=unpacked_bytes >> 20,
                limit=_MAX_UNPACKED_BYTES >> 20,
            ),
            limit=_MAX_UNPACKED_BYTES,
        )
    packed_bytes = sum(member.compress_size for member in members)
    if unpacked_bytes > _RATIO_FREE_BYTES and unpacked_bytes > _MAX_RATIO * packed_bytes:
        raise TooLarge(
            msg(
                "The workbook unpacks to more than %(max_ratio)s times its size. Save it again, or save it as CSV.",
                max_ratio=_MAX_RATIO,
            ),
            limit=_MAX_RATIO,
        )


def _check_kind(members: list[zipfile.ZipInfo]) -> None:
    names = {member.filename for member in members}
    if "xl/workbook.bin" in names:
        raise InvalidTable(msg("This is a binary workbook (.xlsb). Save it as .xlsx or CSV."))
    if "[Content_Types].xml" not in names:
        raise InvalidTable(msg("This is a zip archive, not an Excel workbook. Save the table as .xlsx or CSV."))
    if any(member.flag_bits & 1 for member in members):
        raise InvalidTable(msg("The workbook is encrypted. Save it as .xlsx without a password, or as CSV."))


def _directory_bytes(file: BinaryIO) -> int:
    """Bytes of the archive's directory, which ``zipfile`` reads at once (APPNOTE 4.3.14 to 4.3.16)."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _MAX_TAIL_BYTES))
    tail = file.read(_MAX_TAIL_BYTES)
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or end + _END.size > len(tail):
        raise zipfile.BadZipFile("cut off")
    directory_bytes = int(_END.unpack_from(tail, end)[1])
    end64 = end - _LOCATOR_BYTES - 56
    if end64 >= 0 and tail[end64:].startswith(b"PK\x06\x06"):
        directory_bytes = int(_END64.unpack_from(tail, end64)[1])
    return directory_bytes
