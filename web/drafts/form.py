"""The form of a draft's page: reading options, labels and schedule."""

from __future__ import annotations

import hashlib
import uuid
from contextlib import suppress
from datetime import datetime, time, timedelta
from typing import Annotated, Literal

from babel.localtime import get_localzone
from pydantic import Field
from werkzeug.datastructures import MultiDict

from web.blueprints import pages
from web.drafts.preview import Reading
from web.http.parsing import fields
from web.jobs.submission import JobFields, ReadingFields
from yeban.errors import InvalidRequest, msg

_OPTIONS = {"format", "encoding", "delimiter", "sheet"}
_TIMES = ("start_at", "expires_at")
#: Default start of a job that runs tonight.
TONIGHT = "22:00"

_Short = Annotated[str, Field(max_length=200)]


class ReadingForm(ReadingFields):
    """Reading options; the rest of the form may be incomplete or invalid."""

    id_column: str | None = None
    columns: _Short | None = None


class DraftForm(ReadingForm, JobFields):
    """The whole form."""

    rows: Annotated[int, Field(ge=0)] | None = None
    start: Literal["now", "tonight", "at"] = "now"
    tonight_at: time | None = None


def reading_of(values: MultiDict[str, str]) -> Reading:
    """Read the reading options. Raises :class:`~yeban.errors.InvalidRequest`."""
    known = MultiDict(item for item in values.items(multi=True) if item[0] in ReadingForm.model_fields)
    form = fields(ReadingForm, known)
    return Reading(options=form.model_dump(include=_OPTIONS), **form.model_dump(exclude=_OPTIONS))


def draft_form(values: MultiDict[str, str]) -> DraftForm:
    """The form, checked field by field. Raises :class:`~yeban.errors.InvalidRequest`."""
    return fields(DraftForm, _with_time_zone(values))


def job_fields(form: DraftForm) -> JobFields:
    """Return the job's fields. Raises :class:`~yeban.errors.InvalidRequest` if the start time is missing."""
    start_at = None
    if form.start == "tonight":
        start_at = next_time(form.tonight_at or time.fromisoformat(TONIGHT))
    elif form.start == "at":
        if form.start_at is None:
            raise InvalidRequest(msg("Enter the date and time when the job starts."), field="start_at")
        start_at = form.start_at
    given = {name: getattr(form, name) for name in JobFields.model_fields}
    return JobFields(**{**given, "start_at": start_at})


def check_times(asked: JobFields, now: datetime | None = None) -> None:
    """Raise :class:`~yeban.errors.InvalidRequest` for implausible times.

    Programs may give a start time in the past; their job starts at once.
    """
    now = now or datetime.now().astimezone()
    # A field has minutes only, so the current minute counts as now.
    if asked.start_at is not None and asked.start_at <= now - timedelta(minutes=1):
        raise InvalidRequest(msg("The start time is in the past. Choose a later one, or start now."), field="start_at")
    if asked.expires_at is not None and asked.expires_at <= max(now, asked.start_at or now):
        raise InvalidRequest(msg("The deadline must be in the future and after the start time."), field="expires_at")


def key_of(draft_id: uuid.UUID, asked: JobFields) -> str:
    """Idempotency key of a draft's job: submitting the same form twice creates one job."""
    return hashlib.sha256(f"{draft_id}\n{asked.model_dump_json()}".encode()).hexdigest()


def next_time(of_day: time, now: datetime | None = None) -> datetime:
    """Next time at which the server's clock shows ``of_day``."""
    now = now or datetime.now().astimezone()
    # Computed per day, since tomorrow's offset from UTC may differ.
    for days in (0, 1):
        moment = datetime.combine(now.astimezone().date() + timedelta(days=days), of_day.replace(tzinfo=None))
        if moment.astimezone() > now:
            break
    return moment.astimezone()


@pages.app_template_global()
def time_zone() -> str:
    """The server's time zone as it is now, with its name if it has one: ``UTC+08:00, Asia/Shanghai``."""
    offset = f"UTC{datetime.now().astimezone().isoformat()[-6:]}"
    name = ""
    with suppress(LookupError):  # TZ may hold a rule, such as CST-8, or an unknown name
        zone = get_localzone()
        name = getattr(zone, "key", None) or getattr(zone, "zone", None) or ""  # from zoneinfo or pytz
    return f"{offset}, {name}" if "/" in name and not name.startswith("Etc/") else offset


def _with_time_zone(values: MultiDict[str, str]) -> MultiDict[str, str]:
    """Interpret a browser's date field, which has no time zone, in the server's zone."""
    zoned = values.copy()
    for name in _TIMES:
        try:
            zoned[name] = datetime.fromisoformat(values.get(name, "")).astimezone().isoformat()
        except (ValueError, OverflowError):
            continue  # blank, or rejected with the other fields
    return zoned
