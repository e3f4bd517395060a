"""``/docs/api``: the API's description for people, with samples for a shell and for Python."""

from __future__ import annotations

from flask import render_template, request
from markupsafe import Markup, escape

from web.auth.authentication import accounts_on
from web.blueprints import SIGNED_IN, pages
from web.openapi import description, journey, samples
from web.openapi.problem import status_of_code, title_of_code
from web.openapi.reading import groups, schemas


@pages.get("/docs/api", policy=SIGNED_IN)
def show_api_docs() -> str:
    """Every operation of the API, every schema and every code of a problem."""
    document = description()
    base_url = request.host_url.rstrip("/")
    found = groups(document)
    shown = {
        operation.name: {
            "curl": samples.curl(operation, base_url, with_token=accounts_on()),
            "Python": samples.python(operation, base_url, with_token=accounts_on()),
        }
        for group in found
        for operation in group.operations
    }
    return render_template(
        "apidocs.html",
        document=document,
        base_url=base_url,
        groups=found,
        schemas=schemas(document),
        samples=shown,
        journey={
            "shell": journey.shell(base_url, with_token=accounts_on()),
            "Python": journey.python(base_url, with_token=accounts_on()),
        },
        codes=[(code, status.value, title_of_code(code)) for code, status in status_of_code().items()],
    )


@pages.app_template_filter()
def code_spans(text: str) -> Markup:
    """What stands between backquotes as code, and the rest as it is."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if at % 2 else escape(part) for at, part in enumerate(parts)
    )


@pages.app_template_filter()
def breakable(path: str) -> Markup:
    """A path that may be broken after each slash, and is copied without a trace of that."""
    return Markup("/<wbr>").join(path.split("/"))
