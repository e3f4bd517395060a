"""What a person may do to a job, by name."""

from __future__ import annotations

import uuid

from web.services import Services
from web.uploads import tell_workers
from yeban.jobs import control

_ACTIONS = {"cancel": control.cancel, "pause": control.pause, "resume": control.resume}


def change(services: Services, job_id: uuid.UUID, action: str) -> None:
    """Cancel, pause or resume. Raises ``NotFound``, and ``Conflict`` where the state does not allow it."""
    _ACTIONS[action](services.database, job_id)
    if action == "resume":
        tell_workers(services)
