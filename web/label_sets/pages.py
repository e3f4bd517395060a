"""``/label-sets``: saved label sets, their versions and their form."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from web.auth.authentication import viewer
from web.blueprints import SIGNED_IN, pages, signed_in
from web.http import csrf, pagination
from web.http import errors as problems
from web.http.downloads import disposition
from web.http.form_values import entered
from web.http.parsing import SET_BYTES, Fields, fields, query
from web.label_sets.form import LabelRow, fields_of_form, rearranged, rows_of_form, rows_of_set, set_of_form
from web.label_sets.import_export import decoded, exported, imported
from web.label_sets.input import SEPARATORS, find_saved, labels_of_form, reference, values_of
from web.services import services
from yeban import label_sets
from yeban.errors import Conflict, InvalidLabels, ServiceUnavailable, YebanError, msg
from yeban.label_sets import MAX_NAME_CHARS, SavedSet, SetSummary
from yeban.labels import MAX_EXAMPLES, MAX_HINT_CHARS, MAX_LABEL_CHARS, MAX_LABELS, LabelSet, split_labels

_PAGE_SETS = 50
_PICKER_SETS = 200
_HISTORY = 100
_NEW_ROWS = 3
#: Characters of a rejected import that the page shows again.
_SHOWN_AGAIN_CHARS = 50_000
_EDIT = "label_sets_edit.html"
_LIST = "label_sets.html"


class ListQuery(Fields):
    """Cursor of the list."""

    cursor: str | None = None


class VersionQuery(Fields):
    """Query for a version; the newest by default."""

    version: int | None = None


class RestoreForm(Fields):
    """The version to restore, and the newest version shown with the button."""

    version: int
    base: int


@pages.get("/label-sets", policy=SIGNED_IN)
def index_label_sets() -> str:
    """All sets, newest first."""
    return render_template(_LIST, **_listed(query(ListQuery).cursor))


@pages.get("/label-sets/new", policy=SIGNED_IN)
def new_label_set() -> str:
    """The empty form."""
    return render_template(_EDIT, **_form({}, [LabelRow() for _ in range(_NEW_ROWS)]))


@pages.post("/label-sets/new", policy=signed_in(csrf_in_view=True))
def create_label_set() -> AnyResponse:
    """Save a new set and redirect to it, or show the form with errors or another row."""
    return _edited(None)


@pages.post("/label-sets/import", policy=signed_in(csrf_in_view=True))
def import_label_set() -> AnyResponse:
    """Fill in the form from a file without storing anything."""
    _expect_set()
    into = request.form.get("into")
    saved = find_saved(reference(into)) if into else None
    document = request.form.get("text", "")
    try:
        file = request.files.get("file")
        if file is not None and file.filename:
            document = decoded(file.stream.read())
        if not document.strip():
            raise InvalidLabels(msg("There is nothing to import. Choose a file, or paste its text."))
        name, content = imported(document)
    except YebanError as error:
        # A large file is corrected at its source, not in a form field.
        again = document if len(document) <= _SHOWN_AGAIN_CHARS else ""
        if saved is not None:
            return problems.page(_EDIT, error, **_form_of(saved), import_text=again)
        return problems.page(_LIST, error, **_listed(None), import_text=again)
    values = _options(content) | {"name": name[:MAX_NAME_CHARS]}
    if saved is not None:
        values |= {"name": saved.name, "version": str(saved.newest)}
    return Response(render_template(_EDIT, **_form(values, rows_of_set(content), saved), is_imported=True))


@pages.get("/label-sets/<uuid:label_set_id>", policy=SIGNED_IN)
def show_label_set(label_set_id: uuid.UUID) -> str:
    """One set, with its history."""
    return _page_of(label_sets.get_set(services().database, label_set_id, viewer=viewer()))


@pages.get("/label-sets/<uuid:label_set_id>/versions/<int:version>", policy=SIGNED_IN)
def show_label_set_version(label_set_id: uuid.UUID, version: int) -> str:
    """Show an earlier version of a set."""
    return _page_of(label_sets.get_set(services().database, label_set_id, version=version, viewer=viewer()))


@pages.get("/label-sets/<uuid:label_set_id>/edit", policy=SIGNED_IN)
def edit_label_set(label_set_id: uuid.UUID) -> str:
    """The form with the newest version."""
    saved = label_sets.get_set(services().database, label_set_id, viewer=viewer())
    return render_template(_EDIT, **_form_of(saved))


@pages.post("/label-sets/<uuid:label_set_id>/edit", policy=signed_in(csrf_in_view=True))
def save_label_set(label_set_id: uuid.UUID) -> AnyResponse:
    """Save a version and redirect to it, or show the form with errors, conflicts or another row."""
    return _edited(label_set_id)


@pages.post("/label-sets/<uuid:label_set_id>/restore", policy=SIGNED_IN)
def restore_label_set(label_set_id: uuid.UUID) -> AnyResponse:
    """Restore an old version as the newest."""
    asked = fields(RestoreForm, request.form)
    try:
        saved = label_sets.restore(services().database, label_set_id, asked.version, base=asked.base, viewer=viewer())
    except Conflict as error:
        return _refused(label_set_id, error)
    flash(_("Saved as version %(version)s.", version=saved.newest))
    return _to(label_set_id)


@pages.post("/label-sets/<uuid:label_set_id>/rename", policy=SIGNED_IN)
def rename_label_set(label_set_id: uuid.UUID) -> AnyResponse:
    """Rename the set."""
    try:
        label_sets.rename(services().database, label_set_id, request.form.get("name", ""), viewer=viewer())
    except YebanError as error:
        return _refused(label_set_id, error)
    return _to(label_set_id)


@pages.post("/label-sets/<uuid:label_set_id>/delete", policy=SIGNED_IN)
def delete_label_set(label_set_id: uuid.UUID) -> AnyResponse:
    """Delete the set."""
    name = label_sets.get_set(services().database, label_set_id, viewer=viewer()).name
    label_sets.delete(services().database, label_set_id, viewer=viewer())
    flash(_("The label set “%(name)s” has been deleted.", name=name))
    return redirect(url_for("pages.index_label_sets"), 303)


@pages.get("/label-sets/<uuid:label_set_id>/export.json", policy=SIGNED_IN)
def export_label_set(label_set_id: uuid.UUID) -> Response:
    """Send the set as a file; a header names the version for the script that fills in forms."""
    saved = label_sets.get_set(services().database, label_set_id, version=query(VersionQuery).version, viewer=viewer())
    response = Response(exported(saved.name, saved.content.label_set), content_type="application/json; charset=utf-8")
    response.headers["Content-Disposition"] = disposition(
        f"{saved.name}-{saved.content.version}.json", unnamed="label-set"
    )
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Label-Set"] = values_of(saved)["label_set"]
    return response


@pages.app_template_global()
def saved_label_sets() -> Sequence[SetSummary]:
    """Sets that a form can be filled in from, newest first; none while the database is unreachable."""
    try:
        return label_sets.list_sets(services().database, viewer=viewer(), limit=_PICKER_SETS).sets
    except ServiceUnavailable:
        return ()


@pages.app_template_global()
def first_label(labels: str) -> str:
    """First label of the form, for a preview; "" without a readable one."""
    try:
        given = labels_of_form([labels or ""])
    except InvalidLabels:
        return ""
    names = split_labels(given) if isinstance(given, str) else given
    return next((name if isinstance(name, str) else name.name for name in names), "")


@pages.app_context_processor
def label_limits() -> dict[str, int | str]:
    """Limits and separators of labels, for the form fields."""
    return {
        "label_separators": SEPARATORS,
        "max_labels": MAX_LABELS,
        "max_label_chars": MAX_LABEL_CHARS,
        "max_hint_chars": MAX_HINT_CHARS,
        "max_examples": MAX_EXAMPLES,
        "max_set_name_chars": MAX_NAME_CHARS,
    }


def _expect_set() -> None:
    """Allow this request a whole label set, and check its CSRF token."""
    request.max_content_length = request.max_form_memory_size = SET_BYTES
    request.max_form_parts = 4 * MAX_LABELS
    csrf.protect()


def _edited(label_set_id: uuid.UUID | None) -> AnyResponse:
    _expect_set()
    database = services().database
    saved = None if label_set_id is None else label_sets.get_set(database, label_set_id, viewer=viewer())
    rows, values = rows_of_form(request.form), entered(request.form)
    button = request.form.get("do", "save")
    if (changed := rearranged(rows, button)) is not None:
        shown = _form(values, changed, saved)
        return Response(render_template(_EDIT, **shown, focus_row=len(changed) - 1 if button == "add" else None))
    try:
        asked = fields_of_form(request.form)
        content = set_of_form(rows, asked)
        if saved is None:
            saved = label_sets.create(database, asked.name, content, viewer=viewer())
        else:
            base = asked.over or asked.version or 0
            saved = label_sets.save(database, saved.id, content, base=base, name=asked.name, viewer=viewer())
    except YebanError as error:
        newer = error.context.get("version") if isinstance(error, Conflict) else None
        return problems.page(_EDIT, error, **_form(values, rows, saved), newer=newer)
    flash(_("Saved as version %(version)s.", version=saved.newest))
    return _to(saved.id)


def _listed(cursor: str | None) -> dict[str, Any]:
    page = label_sets.list_sets(
        services().database, viewer=viewer(), before=pagination.decode("label sets", cursor), limit=_PAGE_SETS
    )
    older = pagination.encode("label sets", page.next_before)
    return {"sets": page.sets, "older": older}


def _form(values: Mapping[str, str], rows: Sequence[LabelRow], saved: SavedSet | None = None) -> dict[str, Any]:
    return {"values": values, "rows": rows, "saved": saved}


def _form_of(saved: SavedSet) -> dict[str, Any]:
    content = saved.content.label_set
    values = _options(content) | {"name": saved.name, "version": str(saved.newest)}
    return _form(values, rows_of_set(content), saved)


def _options(content: LabelSet) -> dict[str, str]:
    return {
        "template": content.template,
        "multi_label": "on" if content.multi_label else "",
        "threshold": "" if content.threshold is None else repr(content.threshold),
    }


def _page_of(saved: SavedSet) -> str:
    return render_template("label_sets_show.html", **_shown(saved))


def _shown(saved: SavedSet) -> dict[str, Any]:
    history = label_sets.list_versions(services().database, saved.id, viewer=viewer(), limit=_HISTORY)
    return {"saved": saved, "history": history}


def _refused(label_set_id: uuid.UUID, error: YebanError) -> Response:
    saved = label_sets.get_set(services().database, label_set_id, viewer=viewer())
    return problems.page("label_sets_show.html", error, **_shown(saved))


def _to(label_set_id: uuid.UUID) -> AnyResponse:
    return redirect(url_for("pages.show_label_set", label_set_id=label_set_id), 303)
