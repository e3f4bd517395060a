"""Detect a file's format from its first bytes, its text and its name."""

from __future__ import annotations

from pathlib import PurePath
from typing import BinaryIO

from yeban.errors import InvalidTable, msg
from yeban.tabular.encodings import Undecodable, text_blocks
from yeban.tabular.jsonl_reader import is_object
from yeban.tabular.model import Format, ReadOptions

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")

# First bytes of files that people upload by mistake, with advice.
_FOREIGN = (
    (
        _OLE,
        msg(
            "This is an old Excel workbook (.xls) or one with a password. Save it as .xlsx without a "
            "password, or as CSV."
        ),
    ),
    (b"%PDF-", msg("This is a PDF, not a table. Export the table as CSV or XLSX.")),
    (b"\x1f\x8b", msg("This file is compressed (gzip). Unpack it first.")),
    (b"7z\xbc\xaf\x27\x1c", msg("This file is compressed (7z). Unpack it first.")),
    (b"Rar!\x1a\x07", msg("This file is compressed (rar). Unpack it first.")),
    (b"PAR1", msg("This is a Parquet file. Export it as CSV or JSONL.")),
)

_MARKUP = ("<html", "<!doctype", "<table", "<?xml", "<meta", "<head")


def is_xlsx(file: BinaryIO, options: ReadOptions) -> bool:
    """True if the file is a zip archive.

    Raises ``InvalidTable`` for other binary formats, and for bytes that contradict ``options.format``.
    """
    file.seek(0)
    head = file.read(8)
    for magic, advice in _FOREIGN:
        if head.startswith(magic):
            raise InvalidTable(advice)
    zipped = head.startswith(_ZIP)
    if zipped and options.format not in {"auto", "xlsx"}:
        raise InvalidTable(
            msg("The file is an Excel workbook or another zip archive, not %(format)s.", format=options.format.upper())
        )
    if options.format == "xlsx" and not zipped:
        raise InvalidTable(msg("The file is not an Excel workbook (.xlsx)."))
    return zipped


def text_format(file: BinaryIO, encoding: str, name: str, options: ReadOptions) -> Format:
    """Distinguish JSONL, CSV and TSV by the first line, then by the name.

    ``tsv`` means that a tab is the first delimiter to try. Raises ``InvalidTable`` for a JSON document that is not
    JSONL.
    """
    if options.format != "auto":
        return options.format
    suffix = PurePath(name.lower()).suffix
    try:
        first_block = next(text_blocks(file, encoding), "").lstrip()
    except Undecodable:
        first_block = ""
    if first_block[:9].lower().startswith(_MARKUP):
        # Many web systems export an HTML table as "Excel".
        raise InvalidTable(msg("This is a web page or an XML file. Open it in Excel and save it as .xlsx or CSV."))
    first_line = first_block.partition("\n")[0].partition("\r")[0]
    named_json = suffix in {".jsonl", ".ndjson", ".json"}
    if first_line.startswith("{") and is_object(first_line):
        return "jsonl"
    if named_json and (first_block.startswith("[") or (suffix == ".json" and first_line.rstrip() == "{")):
        raise InvalidTable(
            msg("This is a single JSON document. Write one object per line (JSONL), or use CSV or XLSX.")
        )
    if named_json:
        return "jsonl"
    return "tsv" if suffix in {".tsv", ".tab"} else "csv"
