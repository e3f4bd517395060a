"""Actions that change a job: which its state allows, and running them."""

from __future__ import annotations

import logging
import uuid

from web.auth.authentication import viewer
from web.services import Services
from yeban.database.tables.states import CANCELLABLE, PAUSABLE, REFINABLE, RESUMABLE
from yeban.jobs import control
from yeban.jobs.views import JobView
from yeban.messaging.queues import SEND_ERRORS
from yeban.results import refinement_data

log = logging.getLogger(__name__)

_ACTIONS = {
    "pause": (control.pause, PAUSABLE),
    "resume": (control.resume, RESUMABLE),
    "cancel": (control.cancel, CANCELLABLE),
}


def actions(job: JobView) -> list[str]:
    """Names of the actions that the job's state allows."""
    return [name for name, (_, states) in _ACTIONS.items() if job.state in states]


def refinable(job: JobView) -> bool:
    """Return whether the job can be refined again in its present state."""
    return job.embedded and job.state in REFINABLE


def change(services: Services, job_id: uuid.UUID, action: str) -> None:
    """Cancel, pause or resume. Raises ``NotFound``, and ``Conflict`` where the state does not allow it."""
    run, _ = _ACTIONS[action]
    run(services.database, job_id, viewer=viewer())
    if action == "resume":
        services.send_hints()


def refine_again(services: Services, job_id: uuid.UUID) -> None:
    """Have a completed job refined once more. Raises ``NotFound``, and ``Conflict`` where that cannot be."""
    internal_id = refinement_data.ask_again(services.database, job_id, viewer=viewer())
    try:
        services.sender.finish_job(internal_id)
    except SEND_ERRORS as error:
        log.warning(
            "refinement not queued; a worker's sweep will start it",
            extra={"job": internal_id, "error": str(error)},
        )
