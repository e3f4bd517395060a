"""How a page can be looked at: the language, the colours, and the size of the screen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from babel.support import NullTranslations, Translations

from tests.browser.paths import ROOT

Language = Literal["en", "zh"]
Theme = Literal["auto", "light", "dark"]


@dataclass(frozen=True, kw_only=True)
class Screen:
    """Size in CSS pixels; ``mobile`` for a finger in place of a mouse."""

    name: str
    width: int
    height: int
    mobile: bool


PHONE = Screen(name="phone", width=390, height=844, mobile=True)
DESKTOP = Screen(name="desktop", width=1280, height=900, mobile=False)


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a person chose, and on what they look."""

    language: Language = "en"
    theme: Theme = "auto"
    screen: Screen = DESKTOP

    def __str__(self) -> str:
        return f"{self.language}-{self.theme}-{self.screen.name}"

    def say(self, words: str) -> str:
        """What the pages say for ``words`` in the chosen language; the words themselves where nothing is translated."""
        return str(_translations(self.language).gettext(words))


#: Each pair of language, colours and screen once.
LOOKS = [
    Look(language="zh", theme="dark", screen=PHONE),
    Look(language="en", theme="light", screen=PHONE),
    Look(language="zh", theme="light", screen=DESKTOP),
    Look(language="en", theme="dark", screen=DESKTOP),
]

#: Each language, each choice of colours and each screen once, where the pairs of them make no difference.
TWO_LOOKS = [LOOKS[0], Look(language="en", theme="light", screen=DESKTOP)]


@cache
def _translations(language: Language) -> NullTranslations:
    return Translations.load(str(ROOT / "web" / "translations"), [language])
