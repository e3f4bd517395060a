"""Viewers of stored data, and the rows they may see."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, or_, true
from sqlalchemy.orm import InstrumentedAttribute


@dataclass(frozen=True, kw_only=True, slots=True)
class Viewer:
    """The account a request acts for. Viewers see and change what they or their team own.

    ``name`` is an account's name, ``""`` without accounts; ``sees_all`` is true for admins.
    """

    name: str
    team: str = ""
    sees_all: bool = False


#: The viewer where there are no accounts: sees and changes everything.
UNRESTRICTED = Viewer(name="", sees_all=True)


def visible(
    viewer: Viewer, *, owner: InstrumentedAttribute[str], team: InstrumentedAttribute[str]
) -> ColumnElement[bool]:
    """Condition for rows of ``viewer``: their own, their team's, or all for an unrestricted viewer.

    ``owner`` and ``team`` are the columns of one table, such as ``Job.owner`` and ``Job.team``.
    """
    if viewer.sees_all:
        return true()
    own = owner == viewer.name
    return or_(own, team == viewer.team) if viewer.team else own
