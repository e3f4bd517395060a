"""Template filters for figures, times and states, and the navigation."""

from __future__ import annotations

from datetime import datetime

from babel.dates import format_datetime
from babel.numbers import format_decimal, format_percent
from flask_babel import gettext as _

from web.blueprints import pages
from web.i18n.locale import language
from web.i18n.messages import translated
from yeban.accounts.people import Role
from yeban.errors import Message

_NOTHING = "–"
#: 24-hour times with an unambiguous order of day and month.
_MOMENTS = {"en": "d MMM y, HH:mm:ss", "zh": "y-MM-dd HH:mm:ss"}


@pages.app_template_filter()
def percent(share: float | None) -> str:
    """Format ``0.123`` as ``12.3%``."""
    return _NOTHING if share is None else format_percent(share, "#,##0.0%", locale=language())


@pages.app_template_filter()
def count(number: int) -> str:
    """Format ``1234567`` as ``1,234,567``."""
    return format_decimal(number, locale=language())


@pages.app_template_filter()
def duration(seconds: float | None) -> str:
    """Format seconds in the two largest units."""
    if seconds is None:
        return _NOTHING
    whole = round(seconds)
    said: str
    if seconds < 9.95:
        said = _("%(seconds)s s", seconds=format_decimal(seconds, "0.0", locale=language()))
    elif whole < 60:
        said = _("%(seconds)s s", seconds=whole)
    elif whole < 3600:
        said = _("%(minutes)s min %(seconds)s s", minutes=whole // 60, seconds=whole % 60)
    elif whole < 86400:
        said = _("%(hours)s h %(minutes)s min", hours=whole // 3600, minutes=whole % 3600 // 60)
    else:
        said = _("%(days)s d %(hours)s h", days=whole // 86400, hours=whole % 86400 // 3600)
    return said


@pages.app_template_filter()
def when(moment: datetime) -> str:
    """Format a time in the server's time zone."""
    return format_datetime(moment.astimezone(), _MOMENTS[language()], locale=language())


@pages.app_template_filter()
def sentence(message: Message) -> str:
    """A message in the reader's language."""
    return translated(message)


@pages.app_template_filter()
def role(name: Role) -> str:
    """Label of an account's role."""
    words: dict[Role, str] = {Role.MEMBER: _("member"), Role.ADMIN: _("admin")}
    return words[name]


#: Units of large numbers by language, largest first.
_UNITS = {"en": ((1_000_000, "M"), (1_000, "k")), "zh": ((100_000_000, "亿"), (10_000, "万"))}


@pages.app_template_filter()
def compact(number: int) -> str:
    """Format ``1234567`` as ``1.2M``, in Chinese ``123万``."""
    for size, letter in _UNITS[language()]:
        if number >= size:
            share = number / size
            return f"{share:.1f}{letter}" if share < 9.95 else f"{share:.0f}{letter}"
    return str(number)


@pages.app_template_global()
def navigation() -> list[tuple[str, str]]:
    """Endpoints and names of the navigation, in order."""
    return [
        ("pages.classify", _("Classify")),
        ("pages.upload", _("Upload")),
        ("pages.index_jobs", _("Jobs")),
        ("pages.index_label_sets", _("Label sets")),
        ("pages.show_api_docs", _("API")),
    ]
