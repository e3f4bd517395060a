"""Languages of the pages, and the choice for a browser."""

from __future__ import annotations

from flask import Flask, Response, has_request_context, request
from flask_babel import Babel

#: Languages by code, each with its own name; the first is the default.
LANGUAGES = {"en": "English", "zh": "中文"}
#: Cookie with the chosen language.
COOKIE = "language"

_DEFAULT = next(iter(LANGUAGES))
_HTML_LANG = {"en": "en", "zh": "zh-CN"}
#: Separator of two sentences: a Chinese full stop includes its space.
_GAP = {"en": " ", "zh": ""}


def install(app: Flask) -> None:
    """Translate the pages of ``app``; templates have ``_()``, ``language``, ``languages`` and ``gap``."""
    Babel(app, default_locale=_DEFAULT, locale_selector=language)
    app.context_processor(_for_templates)
    app.after_request(_tell)


def language() -> str:
    """Language of the request: the chosen one, else the browser's preference."""
    if not has_request_context():
        return _DEFAULT
    chosen = request.cookies.get(COOKIE)
    if chosen in LANGUAGES:
        return chosen
    # The first accepted language with any variant here: zh-CN before en gives Chinese.
    wanted = (code.replace("_", "-").partition("-")[0].lower() for code, quality in request.accept_languages if quality)
    return next((code for code in wanted if code in LANGUAGES), _DEFAULT)


def _for_templates() -> dict[str, object]:
    spoken = language()
    return {"language": spoken, "languages": LANGUAGES, "html_lang": _HTML_LANG[spoken], "gap": _GAP[spoken]}


def _tell(response: Response) -> Response:
    """Declare a page's language, and that it varies by cookie and Accept-Language."""
    if response.mimetype == "text/html":
        response.headers.setdefault("Content-Language", _HTML_LANG[language()])
        response.vary.update(("Cookie", "Accept-Language"))
    return response


__all__ = ["COOKIE", "LANGUAGES", "install", "language"]
