"""Read and write tables as streams: CSV, TSV, XLSX and JSONL.

Memory does not grow with the file, except that reading XLSX keeps the workbook's shared strings.
"""

from yeban.tabular.model import Format, Header, ReadOptions, Row
from yeban.tabular.profile import MAX_DISTINCT_TEXTS, Profile, profile_table
from yeban.tabular.reader import Table, open_table
from yeban.tabular.writer import WriteFormat, write_table
from yeban.tabular.xlsx_reader import sheet_names
from yeban.tabular.xlsx_writer import MAX_XLSX_ROWS

__all__ = [
    "MAX_DISTINCT_TEXTS",
    "MAX_XLSX_ROWS",
    "Format",
    "Header",
    "Profile",
    "ReadOptions",
    "Row",
    "Table",
    "WriteFormat",
    "open_table",
    "profile_table",
    "sheet_names",
    "write_table",
]
