"""``/upload``: hand a file in."""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime

from flask import Response, redirect, render_template, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Response as AnyResponse

from web import csrf, problems
from web.edge import fields
from web.models import served_models
from web.pages.blueprint import pages
from web.pages.forms import entered
from web.services import services
from web.uploads import JobFields, expect_upload, source_of, submit
from yeban.errors import YebanError
from yeban.programs import BULK_ROLE

_TEMPLATE = "upload.html"
_TIMES = ("start_at", "expires_at")


@pages.get("/upload")
def upload() -> str:
    """The empty form."""
    return render_template(_TEMPLATE, **_shown(MultiDict()))


@pages.post("/upload")
def upload_file() -> AnyResponse:
    """Make the job and go to its page, or show what was wrong beside what was entered."""
    values: MultiDict[str, str] = MultiDict()
    try:
        with expect_upload(services()):
            csrf.protect()
            values = MultiDict(request.form)
            form_key = values.pop("key", None) or uuid.uuid4().hex
            asked = fields(JobFields, _with_time_zone(values))
            source = source_of(request.files.getlist("file"))
            # Pressing the button twice makes one job; going back and changing something makes another.
            content = f"{form_key}\n{source.name}\n{source.sha256}\n{asked.model_dump_json()}"
            created = submit(services(), source, asked, hashlib.sha256(content.encode()).hexdigest())
    except RequestEntityTooLarge:
        return _refused(problems.upload_too_large(), values)
    except YebanError as error:
        return _refused(error, values)
    return redirect(url_for("pages.show_job", job_id=created.public_id), 303)


def _refused(error: YebanError, values: MultiDict[str, str]) -> Response:
    return problems.page(_TEMPLATE, error, **_shown(values))


def _shown(values: MultiDict[str, str]) -> dict[str, object]:
    return {
        "values": entered(values),
        "models": served_models(services(), role=BULK_ROLE),
        "key": uuid.uuid4().hex,
        "refinable": True,
        "max_upload_mb": services().settings.max_upload_mb,
        "time_zone": f"UTC{datetime.now().astimezone().isoformat()[-6:]}",
    }


def _with_time_zone(values: MultiDict[str, str]) -> MultiDict[str, str]:
    """A browser's date field has no time zone; the server's is meant, as the form says."""
    zoned = values.copy()
    for name in _TIMES:
        try:
            zoned[name] = datetime.fromisoformat(values.get(name, "")).astimezone().isoformat()
        except (ValueError, OverflowError):
            continue  # blank, or refused with the other fields
    return zoned
