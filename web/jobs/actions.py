"""What a person may do to a job, by name."""

from __future__ import annotations

import logging
import uuid

from web.auth.authentication import viewer
from web.jobs.submission import tell_workers
from web.services import Services
from yeban.jobs import control
from yeban.messaging.queues import SEND_ERRORS
from yeban.results import refinement_data

log = logging.getLogger(__name__)

_ACTIONS = {"cancel": control.cancel, "pause": control.pause, "resume": control.resume}


def change(services: Services, job_id: uuid.UUID, action: str) -> None:
    """Cancel, pause or resume. Raises ``NotFound``, and ``Conflict`` where the state does not allow it."""
    _ACTIONS[action](services.database, job_id, viewer=viewer())
    if action == "resume":
        tell_workers(services)


def refine_again(services: Services, job_id: uuid.UUID) -> None:
    """Have a completed job refined once more. Raises ``NotFound``, and ``Conflict`` where that cannot be."""
    internal_id = refinement_data.ask_again(services.database, job_id, viewer=viewer())
    try:
        services.sender.finish_job(internal_id)
    except SEND_ERRORS as error:
        log.warning(
            "nobody was told to refine a job, a worker's sweep will find it",
            extra={"job": internal_id, "error": str(error)},
        )
