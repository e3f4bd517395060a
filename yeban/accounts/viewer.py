"""The viewer of stored data, and the condition for rows that the viewer may see."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, or_, true
from sqlalchemy.orm import InstrumentedAttribute

#: SQL condition on a table with ``owner`` and ``team``; needs :attr:`Viewer.parameters`.
VISIBLE = (
    "(CAST(:sees_all AS boolean) OR owner = CAST(:viewer AS text)"
    " OR (CAST(:viewer_team AS text) <> '' AND team = CAST(:viewer_team AS text)))"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Viewer:
    """The account a request acts for. Viewers see and change what they or their team own.

    ``name`` is an account's name, ``""`` where there are no accounts; ``sees_all`` is true for admins.
    """

    name: str
    team: str = ""
    sees_all: bool = False

    @property
    def parameters(self) -> dict[str, str | bool]:
        """Parameters of :data:`VISIBLE`."""
        return {"viewer": self.name, "viewer_team": self.team, "sees_all": self.sees_all}


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
