"""Keep spreadsheet programs from running text as a formula (OWASP: CSV injection)."""

from __future__ import annotations

import re

# The characters that start a formula, their full-width forms, also behind blanks, controls and
# invisible marks, which spreadsheets strip; and a leading tab or line end, which shifts what follows.
_DANGEROUS = re.compile("[\\s\\x00-\\x20\u200b\u2060\ufeff]*[=+\\-@＝＋－＠]|[\\t\\r\\n]")
_NUMBER = re.compile(r"[+-](?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


def guarded(text: str) -> str:
    """The text, with ``'`` in front if a spreadsheet might run it; plain numbers such as ``-5`` stay.

    Guarding twice adds nothing. Taking away a ``'`` that stands before what would be guarded gives the text back,
    unless that had one there already.
    """
    if _DANGEROUS.match(text) is None or _NUMBER.fullmatch(text) is not None:
        return text
    return f"'{text}"
