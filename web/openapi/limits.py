"""What a setting comes to, where the description names it: a caller of the API knows its name, and no value."""

from __future__ import annotations

import re
from typing import Any

from yeban.settings import Settings

_SETTING = re.compile(r"`YEBAN_([A-Z_]+)`")


def with_limits(told: Any, settings: Settings) -> Any:
    """The document, or a part of it, with each named setting's value before its name in every description."""

    def value_of(found: re.Match[str]) -> str:
        value = getattr(settings, found[1].lower(), None)
        return f"{value:,} ({found[0]})" if isinstance(value, int) else found[0]

    if isinstance(told, list):
        return [with_limits(part, settings) for part in told]
    if not isinstance(told, dict):
        return told
    return {
        key: _SETTING.sub(value_of, part)
        if key == "description" and isinstance(part, str)
        else with_limits(part, settings)
        for key, part in told.items()
    }
