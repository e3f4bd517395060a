"""The languages of the pages, and which one a browser gets."""

from __future__ import annotations

from flask import Flask, Response, has_request_context, request
from flask_babel import Babel

#: Languages by code, each named in itself; the first is what a browser gets that asks for none of them.
LANGUAGES = {"en": "English", "zh": "中文"}
#: The cookie that keeps what a person chose.
COOKIE = "language"

_DEFAULT = next(iter(LANGUAGES))
_HTML_LANG = {"en": "en", "zh": "zh-CN"}
#: What stands between two sentences: a full stop of Chinese brings its own room.
_GAP = {"en": " ", "zh": ""}


def install(app: Flask) -> None:
    """Translate the pages of ``app``; templates have ``_()``, ``language``, ``languages`` and ``gap``."""
    Babel(app, default_locale=_DEFAULT, locale_selector=language)
    app.context_processor(_for_templates)
    app.after_request(_tell)


def language() -> str:
    """What the person chose, else what the browser asks for."""
    if not has_request_context():
        return _DEFAULT
    chosen = request.cookies.get(COOKIE)
    if chosen in LANGUAGES:
        return chosen
    # The best one that is here in any form: asked for zh-CN and then en, it is Chinese.
    wanted = (code.replace("_", "-").partition("-")[0].lower() for code, quality in request.accept_languages if quality)
    return next((code for code in wanted if code in LANGUAGES), _DEFAULT)


def _for_templates() -> dict[str, object]:
    spoken = language()
    return {"language": spoken, "languages": LANGUAGES, "html_lang": _HTML_LANG[spoken], "gap": _GAP[spoken]}


def _tell(response: Response) -> Response:
    """Say of a page which language it is in, and that others get it in another one."""
    if response.mimetype == "text/html":
        response.headers.setdefault("Content-Language", _HTML_LANG[language()])
        response.vary.update(("Cookie", "Accept-Language"))
    return response


__all__ = ["COOKIE", "LANGUAGES", "install", "language"]
