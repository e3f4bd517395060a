"""Snippets for the shell and for Python that repeat a classification."""

from __future__ import annotations

import json
import pprint
import shlex
from typing import Any

from flask import url_for

from web.blueprints import pages
from yeban.labels import DEFAULT_TEMPLATE, Label, LabelSet

_TOKEN = "YEBAN_TOKEN"  # noqa: S105  # the name of a variable


def body_of(text: str, label_set: LabelSet, model: str | None) -> dict[str, Any]:
    """Return the JSON body of the request, without fields at their defaults."""
    body: dict[str, Any] = {"text": text, "labels": [_label(label) for label in label_set.labels]}
    if label_set.template != DEFAULT_TEMPLATE:
        body["template"] = label_set.template
    if label_set.multi_label:
        body["multi_label"] = True
    if label_set.threshold is not None:
        body["threshold"] = label_set.threshold
    if model is not None:
        body["model"] = model
    return body


@pages.app_template_filter()
def as_curl(body: dict[str, Any], with_token: bool) -> str:
    """Write a command for a POSIX shell. The body is a here-document, which needs no quoting."""
    lines = [f"curl -sS {shlex.quote(_url())}", "-H 'Content-Type: application/json'"]
    if with_token:
        lines.append(f'-H "Authorization: Bearer ${_TOKEN}"')
    lines.append("--data-binary @- <<'JSON'")
    return " \\\n  ".join(lines) + f"\n{_visible(json.dumps(body, ensure_ascii=False))}\nJSON"


@pages.app_template_filter()
def as_python(body: dict[str, Any], with_token: bool) -> str:
    """Write a program that needs only the standard library."""
    literal = "".join(f"    {name!r}: {_indented(value)},\n" for name, value in body.items())
    headers = '{"Content-Type": "application/json"}'
    if with_token:
        headers = f'{{"Content-Type": "application/json", "Authorization": "Bearer " + os.environ["{_TOKEN}"]}}'
    return "\n".join(
        [
            "import json",
            *(["import os"] if with_token else []),
            "import urllib.request",
            "",
            f"body = {{\n{literal}}}",
            "request = urllib.request.Request(",
            f"    {_url()!r},",
            "    json.dumps(body).encode(),",
            f"    {headers},",
            ")",
            "with urllib.request.urlopen(request) as response:",
            "    print(json.dumps(json.load(response), ensure_ascii=False, indent=2))",
        ]
    )


def _indented(value: Any) -> str:
    """Format a Python literal with indented continuation lines."""
    return pprint.pformat(value, width=90, sort_dicts=False).replace("\n", "\n        ")


def _label(label: Label) -> str | dict[str, Any]:
    extra = {"description": label.description, "examples": list(label.examples)}
    given = {name: value for name, value in extra.items() if value}
    return {"name": label.name, **given} if given else label.name


def _url() -> str:
    return url_for("api.classify_text", _external=True)


def _visible(document: str) -> str:
    """Escape invisible characters, such as those that change the direction of text."""
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in document)
