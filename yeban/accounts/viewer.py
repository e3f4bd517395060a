"""Who asks, and what of the stored is theirs to see and to change."""

from __future__ import annotations

from dataclasses import dataclass

#: SQL condition on a table with ``owner`` and ``team``; wants :attr:`Viewer.parameters`.
VISIBLE = (
    "(CAST(:sees_all AS boolean) OR owner = CAST(:viewer AS text)"
    " OR (CAST(:viewer_team AS text) <> '' AND team = CAST(:viewer_team AS text)))"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Viewer:
    """Whoever asks. What they make is theirs; what is theirs or their team's they may see and change.

    ``name`` is that of an account, ``""`` where there are no accounts; ``sees_all`` is for admins.
    """

    name: str = ""
    team: str = ""
    sees_all: bool = False

    @property
    def parameters(self) -> dict[str, str | bool]:
        """What :data:`VISIBLE` wants."""
        return {"viewer": self.name, "viewer_team": self.team, "sees_all": self.sees_all}


#: Whoever asks where there are no accounts: everything is theirs.
OPEN = Viewer(sees_all=True)
