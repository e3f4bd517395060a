"""Where the API's routes hang."""

from __future__ import annotations

from flask import Blueprint

api = Blueprint("api", __name__, url_prefix="/api/v1")
#: What supervisors ask; outside the API's version.
probes = Blueprint("probes", __name__)
