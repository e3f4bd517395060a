"""Labels of job and row states on the pages, and the state filter."""

from __future__ import annotations

from flask_babel import gettext as _

from web.blueprints import pages
from web.i18n.messages import translated
from yeban.database.tables.states import FINISHED, JobState
from yeban.errors import InvalidRequest, msg
from yeban.jobs.views import JobView

ALL, OPEN, OVER = "all", "open", "ended"
_MAX_SHOWN = 50


@pages.app_template_filter()
def state_name(state: str) -> str:
    """Label of a job's state."""
    return translated(JobState(state).message)


@pages.app_template_filter()
def status_name(status: str) -> str:
    """Label of a row's status."""
    names = {"ok": _("tagged"), "abstained": _("abstained"), "error": _("error"), "pending": _("pending")}
    return str(names[status])


@pages.app_template_filter()
def action_name(action: str) -> str:
    """Label of an action's button."""
    return str({"pause": _("Pause"), "resume": _("Resume"), "cancel": _("Cancel")}[action])


def choices() -> list[tuple[str, str]]:
    """Choices of the state filter: groups of states, then each state."""
    groups = [(ALL, _("all")), (OPEN, _("all that are open")), (OVER, _("all that have ended"))]
    return [*groups, *((state.value, state_name(state)) for state in JobState)]


def states_of(choice: str) -> list[JobState]:
    """States of a ``choice``; empty for all. Raises ``InvalidRequest``."""
    if choice in {"", ALL}:
        return []
    if choice == OPEN:
        return [state for state in JobState if state not in FINISHED]
    if choice == OVER:
        return sorted(FINISHED)
    if choice not in set(JobState):
        raise InvalidRequest(
            msg("There is no job state %(choice)s. Choose one from the list.", choice=repr(choice[:_MAX_SHOWN])),
            field="state",
        )
    return [JobState(choice)]


def timeline(job: JobView) -> list[tuple[str, str]]:
    """History of a job as ``(key in its times, label)``, in order."""
    times = job.times
    names = {
        "created_at": _("submitted"),
        "queued_at": _("queued"),
        "running_at": _("started"),
        "paused_at": _("paused"),
        "finishing_at": _("every row scored"),
        "cancelling_at": _("cancelled by a person"),
        "ended_at": _("refined") if job.state is JobState.FINISHING else state_name(job.state),
    }
    if "running_at" in times and times["queued_at"] > times["running_at"]:
        names["queued_at"] = _("resumed")
    if "ended_at" in times and times.get("finishing_at", times["ended_at"]) > times["ended_at"]:
        names["finishing_at"] = _("refined again") if job.state in FINISHED else _("being refined again")
    if job.state not in FINISHED and job.state is not JobState.FINISHING:
        times = {name: moment for name, moment in times.items() if name != "ended_at"}
    # Equal times are ordered by name.
    return [
        (name, names[name])
        for name in sorted(names, key=lambda name: times.get(name, times["created_at"]))
        if name in times
    ]
