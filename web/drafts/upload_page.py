"""``/upload``: upload a file, which becomes a draft."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask import Response, redirect, render_template, request, url_for
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Response as AnyResponse

from web.auth.authentication import viewer
from web.blueprints import SIGNED_IN, pages, signed_in
from web.http import csrf
from web.http import errors as problems
from web.http.htmx import asked_by_htmx
from web.jobs.submission import expect_upload, source_of
from web.services import services
from yeban.drafts import Draft, list_drafts, store_draft
from yeban.errors import InvalidTable, ServiceUnavailable, YebanError, msg

_TEMPLATE = "upload.html"
# Quota of an owner's drafts, in uploads of the maximum size.
_DRAFTS_OF_LARGEST_SIZE = 4


@pages.get("/upload", policy=SIGNED_IN)
def upload() -> str:
    """The empty form."""
    return render_template(_TEMPLATE, **_shown())


@pages.post("/upload", policy=signed_in(limit="uploads", csrf_in_view=True))
def upload_file() -> AnyResponse:
    """Store the file as a draft and redirect to its page, or show the error."""
    try:
        with expect_upload(services()):
            csrf.protect()
            source = source_of(request.files.getlist("file"))
            if source.size_bytes == 0:
                raise InvalidTable(msg("The file is empty."))
            draft = store_draft(
                services().database,
                source.file,
                name=source.name,
                sha256=source.sha256,
                size_bytes=source.size_bytes,
                viewer=viewer(),
                most_bytes=_DRAFTS_OF_LARGEST_SIZE * services().settings.max_upload_mb * 2**20,
            )
    except RequestEntityTooLarge:
        return problems.page(_TEMPLATE, problems.upload_too_large(), **_shown())
    except YebanError as error:
        return problems.page(_TEMPLATE, error, **_shown())
    place = url_for("pages.show_draft", draft_id=draft.id, **_wanted())
    if asked_by_htmx():
        # The script would follow a redirect itself instead of the browser.
        return Response(status=HTTPStatus.CREATED, headers={"HX-Redirect": place})
    return redirect(place, HTTPStatus.SEE_OTHER)


def _shown() -> dict[str, object]:
    return {"max_upload_mb": services().settings.max_upload_mb, "wanted": _wanted(), "waiting": _waiting()}


def _waiting() -> list[Draft] | None:
    """Earlier drafts that are still waiting; ``None`` while the database is unreachable."""
    try:
        return list_drafts(services().database, viewer=viewer())
    except ServiceUnavailable:
        return None


def _wanted() -> dict[str, Any]:
    """The label set in the link to this page; the draft's page looks it up."""
    return {name: value for name in ("label_set", "version") if (value := request.args.get(name))}
