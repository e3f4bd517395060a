"""``/upload/<id>``: preview a file, run a sample, and schedule its job."""

from __future__ import annotations

import uuid
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from flask import Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from web.auth.authentication import viewer
from web.blueprints import SIGNED_IN, pages, signed_in
from web.drafts import preview, view
from web.drafts.form import check_times, draft_form, job_fields, key_of, reading_of
from web.drafts.sample_run import ROWS, Tried, try_rows
from web.http import csrf
from web.http import errors as problems
from web.http.htmx import asked_by_htmx
from web.jobs.submission import FORM_BYTES, MAX_FORM_PARTS, Source, submit
from web.label_sets.input import label_set_of_form, prefill
from web.services import services
from yeban.drafts import Draft, delete_draft, get_draft, open_draft
from yeban.errors import NotFound, YebanError
from yeban.jobs.views import job_of_key

_TEMPLATE = "draft.html"


@pages.get("/upload/<uuid:draft_id>", policy=SIGNED_IN)
def show_draft(draft_id: uuid.UUID) -> str | Response:
    """Show the file as detected, with the labels of the link."""
    draft = _draft(draft_id)
    try:
        values = MultiDict(prefill(request.args))
    except YebanError as error:
        return problems.page(_TEMPLATE, error, **view.page(draft, MultiDict()))
    return _page(draft, values)


@pages.post("/upload/<uuid:draft_id>/preview", policy=signed_in(csrf_in_view=True))
def preview_draft(draft_id: uuid.UUID) -> str:
    """Show the file with the form's reading options."""
    values = _form()
    draft = _draft(draft_id)
    if asked_by_htmx():
        return render_template("draft_reading.html", **view.reading(draft, values))
    return _page(draft, values)


@pages.post("/upload/<uuid:draft_id>/counts", policy=signed_in(csrf_in_view=True))
def count_draft(draft_id: uuid.UUID) -> str:
    """Count over the whole file, which may take a while."""
    values = _form()
    draft = _draft(draft_id)
    counted = view.count(draft, values)
    if asked_by_htmx():
        rows = None if counted.profile is None else counted.profile.rows
        shown = {**view.counts(draft, counted), **view.estimated(values, rows)}
        return render_template("draft_counts.html", **shown, of_script=True)
    return _page(draft, values, counted=counted)


@pages.post("/upload/<uuid:draft_id>/estimate", policy=signed_in(csrf_in_view=True))
def estimate_draft(draft_id: uuid.UUID) -> str:
    """Estimate the job's duration, for the page's script."""
    values = _form()
    return render_template("draft_estimate.html", draft=_draft(draft_id), **view.estimated(values, None))


@pages.post("/upload/<uuid:draft_id>/try", policy=signed_in(limit="texts", cost=ROWS, csrf_in_view=True))
def try_draft(draft_id: uuid.UUID) -> str | Response:
    """Tag the first texts of the file."""
    values = _form()
    draft = _draft(draft_id)
    try:
        shown = _tried(draft, values)
    except YebanError as error:
        if asked_by_htmx():
            return problems.part("draft_tried.html", error, tried=None)
        return problems.page(_TEMPLATE, error, **view.page(draft, values))
    if asked_by_htmx():
        return render_template("draft_tried.html", **shown)
    return _page(draft, values, **shown)


@pages.post("/upload/<uuid:draft_id>", policy=signed_in(csrf_in_view=True))
def start_draft(draft_id: uuid.UUID) -> AnyResponse:
    """Create the job and redirect to it, or show the form with its errors."""
    values = _form()
    try:
        draft = _draft(draft_id)
    except NotFound:
        # Double click: the first press created the job and deleted the draft.
        if (made := _made_before(draft_id, values)) is None:
            raise
        return _to_job(made)
    try:
        return _to_job(_submit(draft, values))
    except YebanError as error:
        if isinstance(error, NotFound) and (made := _made_before(draft_id, values)) is not None:
            return _to_job(made)
        return problems.page(_TEMPLATE, error, **view.page(draft, values))


def _to_job(job_id: uuid.UUID) -> AnyResponse:
    return redirect(url_for("pages.show_job", job_id=job_id), HTTPStatus.SEE_OTHER)


@pages.post("/upload/<uuid:draft_id>/discard", policy=SIGNED_IN)
def discard_draft(draft_id: uuid.UUID) -> AnyResponse:
    """Delete the file if it still exists."""
    delete_draft(services().database, draft_id, viewer=viewer())
    flash(_("The file has been discarded."))
    return redirect(url_for("pages.upload"), HTTPStatus.SEE_OTHER)


def _submit(draft: Draft, values: MultiDict[str, str]) -> uuid.UUID:
    asked, reading = job_fields(draft_form(values)), reading_of(values)
    check_times(asked)
    database = services().database
    with services().uploads.admit(), open_draft(database, draft) as file:
        source = Source(file=file, name=draft.name, sha256=draft.sha256, size_bytes=draft.size_bytes)
        created = submit(
            services(),
            source,
            asked,
            key_of(draft.id, asked),
            check=lambda header: preview.check_columns(reading, header),
        )
    delete_draft(database, draft.id, viewer=viewer())
    return created.public_id


def _made_before(draft_id: uuid.UUID, values: MultiDict[str, str]) -> uuid.UUID | None:
    """Find the job that the same form created from the draft."""
    with suppress(YebanError):
        key = key_of(draft_id, job_fields(draft_form(values)))
        return job_of_key(services().database, key, owner=viewer().name)
    return None


def _tried(draft: Draft, values: MultiDict[str, str]) -> dict[str, Any]:
    form, reading = draft_form(values), reading_of(values)
    labels = label_set_of_form(form)
    header, rows = preview.first_texts(services(), draft, reading)
    tried: Tried = try_rows(services(), rows, labels, form.model)
    shown_id = preview.id_index(header, reading)
    return {"tried": tried, "tried_header": header, "tried_id": shown_id, "multi_label": form.multi_label}


def _draft(draft_id: uuid.UUID) -> Draft:
    return get_draft(services().database, draft_id, viewer=viewer())


def _form() -> MultiDict[str, str]:
    """Read the form, which may hold a thousand labels, and check its CSRF token."""
    request.max_content_length = request.max_form_memory_size = FORM_BYTES
    request.max_form_parts = MAX_FORM_PARTS
    csrf.protect()
    return MultiDict(request.form)


def _page(draft: Draft, values: MultiDict[str, str], *, counted: view.Counted | None = None, **shown: Any) -> str:
    return render_template(_TEMPLATE, **view.page(draft, values, counted=counted), **shown)
