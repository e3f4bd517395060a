"""``/``: one text, tagged while you wait."""

from __future__ import annotations

from flask import Response, render_template, request
from pydantic import Field

from web import interactive, problems
from web.edge import Fields, fields
from web.labelset import label_set, labels_of_form
from web.models import served_models
from web.pages.blueprint import pages
from web.pages.forms import entered
from web.services import services
from yeban.errors import YebanError
from yeban.labels import DEFAULT_TEMPLATE
from yeban.programs import INTERACTIVE_ROLE

_TEMPLATE = "classify.html"


class ClassifyForm(Fields):
    """What the form sends."""

    text: str = ""
    labels: list[str] = Field(default_factory=list)
    template: str = DEFAULT_TEMPLATE
    multi_label: bool = False
    threshold: float | None = None
    model: str | None = None


@pages.get("/")
def classify() -> str:
    """The empty form."""
    return render_template(_TEMPLATE, values={}, models=served_models(services(), role=INTERACTIVE_ROLE))


@pages.post("/")
def classify_text() -> str | Response:
    """The form with its answer, or with what was wrong."""
    shown = {"values": entered(request.form), "models": served_models(services(), role=INTERACTIVE_ROLE)}
    try:
        form = fields(ClassifyForm, request.form)
        labels = label_set(
            labels_of_form(form.labels), template=form.template, multi_label=form.multi_label, threshold=form.threshold
        )
        found = interactive.classify(services(), form.text, labels, form.model)
    except YebanError as error:
        return problems.page(_TEMPLATE, error, **shown)
    return render_template(_TEMPLATE, found=found, **shown)
