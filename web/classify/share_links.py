"""Links that open a form with the same labels. None ever has a ticket's text."""

from __future__ import annotations

from flask import url_for

from web.label_sets.input import find_saved, labels_text, reference
from yeban.errors import NotFound
from yeban.label_sets import SavedSet
from yeban.labels import DEFAULT_TEMPLATE, LabelSet

#: Longer links are cut by chat programs, and refused by some servers.
MAX_LINK_CHARS = 2_000


def link_to(label_set: LabelSet, filled_from: str | None, model: str | None) -> tuple[str | None, bool]:
    """A link to the form with ``label_set``, ``None`` where it would be too long, and whether it needs a saved set.

    ``filled_from`` is the saved set (``<id>@<version>``) that the form was filled in from. Where it still says the
    same it is all that the link has.
    """
    saved = _saved(filled_from)
    helped = saved is not None and any(label.description or label.examples for label in label_set.labels)
    query: dict[str, str] = {}
    if saved is not None and (helped or saved.content.label_set == label_set):
        query = {"label_set": str(saved.id), "version": str(saved.content.version)}
    if saved is None or saved.content.label_set != label_set:
        query["labels"] = labels_text(label_set.names, ",")
        query["template"] = label_set.template
        query["multi_label"] = "true" if label_set.multi_label else "false"
        query["threshold"] = "" if label_set.threshold is None else repr(label_set.threshold)
        if "label_set" not in query:  # else the set's own would apply
            usual = {"template": DEFAULT_TEMPLATE, "multi_label": "false", "threshold": ""}
            query = {name: value for name, value in query.items() if value != usual.get(name)}
    if model is not None:
        query["model"] = model
    url = url_for("pages.classify", _external=True, **query)
    return (url if len(url) <= MAX_LINK_CHARS else None), "label_set" in query


def _saved(filled_from: str | None) -> SavedSet | None:
    if filled_from is None:
        return None
    try:
        return find_saved(reference(filled_from))
    except NotFound:
        return None
