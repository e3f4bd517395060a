"""Forms as they are shown again, with what was entered."""

from __future__ import annotations

from collections.abc import Mapping

from web.http import csrf
from web.services import services
from yeban.labels import DEFAULT_TEMPLATE


def entered(form: Mapping[str, str]) -> dict[str, str]:
    """The fields that say something: neither blank nor what the empty form has."""
    empty = {"template": DEFAULT_TEMPLATE, "format": "auto", "model": services().settings.model}
    return {name: value for name, value in form.items() if value and value != empty.get(name) and name != csrf.FIELD}
