"""The API's description of itself."""

from __future__ import annotations

from flask import Response

from web.blueprints import SIGNED_IN, api
from web.http.json import json_response
from web.monitoring.schemas import ApiDescription
from web.openapi import description
from web.openapi.documented import documented


@api.get("/openapi.json", policy=SIGNED_IN)
@documented(
    group="Service",
    summary="This description, for programs",
    answers={200: ApiDescription},
)
def describe_api() -> Response:
    """The API as an OpenAPI 3.1 document."""
    return json_response(description())
