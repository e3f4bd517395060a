"""``/docs/api``: the API's reference for people, with samples for a shell and for Python."""

from __future__ import annotations

import json
from typing import Any

from flask import render_template, request
from markupsafe import Markup, escape

from web.auth.authentication import accounts_on
from web.blueprints import SIGNED_IN, pages
from web.openapi import description
from web.openapi.problem import status_of_code, title_of_code
from web.shell.api_docs import samples
from web.shell.api_docs.types import type_of


@pages.get("/docs/api", policy=SIGNED_IN)
def show_api_docs() -> str:
    """Show every operation, schema and problem code."""
    document = description()
    address: dict[str, Any] = {"base_url": request.host_url.rstrip("/"), "with_token": accounts_on()}
    operations = list(samples.operations(document))
    return render_template(
        "api_docs.html",
        document=document,
        base_url=address["base_url"],
        groups=[(tag, [each for each in operations if tag["name"] in each.raw["tags"]]) for tag in document["tags"]],
        samples={
            each.name: [("curl", samples.curl(each, **address)), ("Python", samples.python(each, **address))]
            for each in operations
        },
        programs=[
            ("curl", samples.program("upload.sh.txt", **address)),
            ("Python", samples.program("upload.py.txt", **address)),
        ],
        codes=[(code, status.value, title_of_code(code)) for code, status in status_of_code().items()],
    )


pages.add_app_template_filter(type_of)


@pages.app_template_filter()
def as_example(value: Any) -> str:
    """Format JSON for reading."""
    return json.dumps(value, ensure_ascii=False, indent=2)


@pages.app_template_filter()
def code_spans(text: str) -> Markup:
    """Mark text between backquotes as code; escape the rest."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if at % 2 else escape(part) for at, part in enumerate(parts)
    )


@pages.app_template_filter()
def breakable(path: str) -> Markup:
    """Let a path wrap after each slash without changing the copied text."""
    return Markup("/<wbr>").join(path.split("/"))
