"""Values of a submitted form, to show it again."""

from __future__ import annotations

from collections.abc import Mapping

from web.http import csrf
from web.services import services
from yeban.labels import DEFAULT_TEMPLATE


def entered(form: Mapping[str, str]) -> dict[str, str]:
    """Return the fields that are neither blank nor at their default."""
    defaults = {"template": DEFAULT_TEMPLATE, "format": "auto", "model": services().settings.model}
    return {name: value for name, value in form.items() if value and value != defaults.get(name) and name != csrf.FIELD}
