"""The HTTP API, version 1. ``docs/api.md`` describes it."""

from web.api.blueprint import api, probes
from web.classify import api as classify  # noqa: F401  # each hangs its routes on the blueprint
from web.jobs import api as jobs  # noqa: F401  # each hangs its routes on the blueprint
from web.label_sets import api as labelsets
from web.monitoring import api as status
from web.monitoring import description_api
from web.results import accuracy_api, corrections_api
from web.results import api as results
from web.webhooks import api as webhooks

__all__ = ["api", "probes"]
