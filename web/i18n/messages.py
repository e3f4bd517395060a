"""Messages in the reader's language."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from babel.support import NullTranslations, Translations

from web.i18n.locale import language
from yeban.errors import Message, Parameter, msg

_TRANSLATIONS = Path(__file__).resolve().parents[1] / "translations"
_BETWEEN_TWO = msg("; ")


def translated(message: Message, to: str | None = None) -> str:
    """``message`` in the language ``to``, by default the reader's; in English where it has no translation."""
    return _said(message, _catalogue(to or language()))


def _said(message: Message, catalogue: NullTranslations) -> str:
    words = str(catalogue.ugettext(message.id))
    return words % {name: _value(value, catalogue) for name, value in message.parameters.items()}


def _value(value: Parameter, catalogue: NullTranslations) -> object:
    if isinstance(value, Message):
        return _said(value, catalogue)
    if isinstance(value, tuple):
        return _said(_BETWEEN_TWO, catalogue).join(_said(item, catalogue) for item in value)
    return value


@cache
def _catalogue(code: str) -> NullTranslations:
    return Translations.load(_TRANSLATIONS, [code])


__all__ = ["translated"]
