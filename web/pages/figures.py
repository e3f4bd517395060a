"""Figures where there is little room for them."""

from __future__ import annotations

from web.blueprints import pages
from web.i18n.locale import language

#: What a language counts in, largest first.
_UNITS = {"en": ((1_000_000, "M"), (1_000, "k")), "zh": ((100_000_000, "亿"), (10_000, "万"))}


@pages.app_template_filter()
def compact(number: int) -> str:
    """``1234567`` as ``1.2M``, in Chinese ``123万``."""
    for size, letter in _UNITS[language()]:
        if number >= size:
            share = number / size
            return f"{share:.1f}{letter}" if share < 9.95 else f"{share:.0f}{letter}"
    return str(number)
