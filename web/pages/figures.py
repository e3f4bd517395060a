"""Figures where there is little room for them."""

from __future__ import annotations

from web.pages.blueprint import pages


@pages.app_template_filter()
def compact(number: int) -> str:
    """``1234567`` as ``1.2M``: three digits or fewer."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            share = number / size
            return f"{share:.1f}{letter}" if share < 9.95 else f"{share:.0f}{letter}"
    return str(number)
