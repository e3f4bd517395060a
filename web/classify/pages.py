"""``/``: classify a single text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, make_response, render_template, request, url_for

from web.blueprints import SIGNED_IN, pages, signed_in
from web.classify import service
from web.classify.snippets import body_of
from web.http import errors as problems
from web.http.form_values import entered
from web.http.htmx import asked_by_htmx
from web.http.parsing import fields
from web.label_sets.import_export import exported
from web.label_sets.input import (
    SET_FIELDS,
    LabelSetForm,
    find_saved,
    label_set_of_form,
    labels_text,
    prefill,
    reference,
    values_of,
)
from web.monitoring.served_models import model_choices
from web.services import services
from yeban.errors import NotFound, YebanError
from yeban.label_sets import SavedSet
from yeban.labels import DEFAULT_TEMPLATE, LabelSet
from yeban.runtime.programs import INTERACTIVE_ROLE

_TEMPLATE = "classify.html"
_RESULT = "classify_result.html"
# Chat programs cut longer links, and some servers refuse them.
_MAX_LINK_CHARS = 2_000


class ClassifyForm(LabelSetForm):
    """Fields of the form. ``saved`` is the picker's choice, which has no effect until it is loaded."""

    text: str = ""
    model: str | None = None
    saved: str | None = None


@pages.get("/", policy=SIGNED_IN)
def classify() -> str | Response:
    """Show the form, filled in from the query string, which never has a text."""
    try:
        values = prefill(request.args)
    except YebanError as error:
        return problems.page(_TEMPLATE, error, **_shown({}))
    return render_template(_TEMPLATE, **_shown(values))


@pages.post("/", policy=signed_in(limit="texts"))
def classify_text() -> Response:
    """Show the form with its answer or error; for htmx the answer alone."""
    if "load" in request.form:
        return _load()
    swapped = asked_by_htmx()
    template = _RESULT if swapped else _TEMPLATE
    # htmx keeps the rest of the page, so it needs no lookup.
    shown = {"swapped": True} if swapped else _shown(entered(request.form))
    try:
        response = make_response(render_template(template, **_answer(fields(ClassifyForm, request.form)), **shown))
    except YebanError as error:
        response = (problems.part if swapped else problems.page)(template, error, **shown)
    response.headers["Cache-Control"] = "no-store"
    return response


def _answer(form: ClassifyForm) -> dict[str, Any]:
    label_set = label_set_of_form(form)
    found = service.classify(services(), form.text, label_set, form.model)
    share_url, shares_set = _share_link(label_set, form.label_set, form.model)
    return {
        "found": found,
        "body": body_of(form.text, label_set, form.model),
        "set_file": exported("", label_set),
        "share_url": share_url,
        "shares_set": shares_set,
    }


def _load() -> Response:
    """Load the chosen set into the form and keep the text."""
    values = entered(request.form)
    chosen = request.form.get("saved")
    try:
        if chosen:
            loaded = values_of(find_saved(reference(chosen)))
            kept = {name: value for name, value in values.items() if name not in SET_FIELDS}
            values = kept | {name: value for name, value in loaded.items() if value}
        else:
            values.pop("label_set", None)
    except YebanError as error:
        return problems.page(_TEMPLATE, error, **_shown(values))
    return make_response(render_template(_TEMPLATE, **_shown(values)))


def _shown(values: Mapping[str, str]) -> dict[str, Any]:
    models = model_choices(services(), role=INTERACTIVE_ROLE)
    return {"values": values, "models": list(models), "model_facts": models, "loads_sets": True}


def _share_link(label_set: LabelSet, filled_from: str | None, model: str | None) -> tuple[str | None, bool]:
    """Return a link to the form with ``label_set``, and whether it refers to a saved set. It never holds a text.

    The link is ``None`` if it would be too long. ``filled_from`` is the saved set (``<id>@<version>``) that filled the
    form in; if the form still equals it, the link holds the reference alone.
    """
    saved = _source_set(filled_from)
    helped = saved is not None and any(label.description or label.examples for label in label_set.labels)
    query: dict[str, str] = {}
    if saved is not None and (helped or saved.content.label_set == label_set):
        query = {"label_set": str(saved.id), "version": str(saved.content.version)}
    if saved is None or saved.content.label_set != label_set:
        query["labels"] = labels_text(label_set.names, ",")
        query["template"] = label_set.template
        query["multi_label"] = "true" if label_set.multi_label else "false"
        query["threshold"] = "" if label_set.threshold is None else repr(label_set.threshold)
        if "label_set" not in query:  # or the saved set's values would apply
            usual = {"template": DEFAULT_TEMPLATE, "multi_label": "false", "threshold": ""}
            query = {name: value for name, value in query.items() if value != usual.get(name)}
    if model is not None:
        query["model"] = model
    url = url_for("pages.classify", _external=True, **query)
    return (url if len(url) <= _MAX_LINK_CHARS else None), "label_set" in query


def _source_set(filled_from: str | None) -> SavedSet | None:
    if filled_from is None:
        return None
    try:
        return find_saved(reference(filled_from))
    except NotFound:
        return None
