"""How figures and times are written on the pages."""

from __future__ import annotations

from datetime import datetime

from flask_babel import gettext as _

from web.pages.blueprint import pages
from yeban.accounts.people import Role


@pages.app_template_filter()
def percent(share: float | None) -> str:
    """``0.123`` as ``12.3 %``."""
    return "–" if share is None else f"{100 * share:.1f} %"


@pages.app_template_filter()
def count(number: int) -> str:
    """``1234567`` as ``1,234,567``."""
    return f"{number:,}"


@pages.app_template_filter()
def duration(seconds: float | None) -> str:
    """Seconds in the two units that matter."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


@pages.app_template_filter()
def when(moment: datetime) -> str:
    """A time in the server's time zone."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


@pages.app_template_filter()
def words(state: str) -> str:
    """``completed_with_errors`` as ``completed with errors``."""
    return state.replace("_", " ")


@pages.app_template_filter()
def role(name: Role) -> str:
    """What an account may do, in words."""
    words: dict[Role, str] = {Role.MEMBER: _("member"), Role.ADMIN: _("admin")}
    return words[name]
