"""Which models can be asked for: the one in the settings, and whatever live workers serve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from web.services import Services
from yeban.errors import ServiceUnavailable, UnknownModel
from yeban.jobs.workers import WorkerInfo, live_workers


def check_model(services: Services, name: str | None, *, role: str) -> str:
    """The model to use: ``name``, or the default. Raises :class:`~yeban.errors.UnknownModel`.

    The default is taken on trust, so that work may be handed in while its worker is still starting.
    """
    default = services.settings.model
    if name is None or name == default:
        return default
    known = _known(services, role)
    if name in known:
        return name
    raise UnknownModel(f"No worker serves a model {name[:100]!r}; there is: {', '.join(known)}.", models=known)


def served_models(services: Services, *, role: str) -> list[str]:
    """Names that a form may offer, the default first; only that while the database is away."""
    default = services.settings.model
    try:
        known = _known(services, role)
    except ServiceUnavailable:
        known = [default]
    return [default, *(name for name in known if name != default)]


def _known(services: Services, role: str) -> list[str]:
    workers = live_workers(services.database)
    served = {str(model["name"]) for worker in workers if worker.role == role for model in worker.models}
    return sorted(served | {services.settings.model})


def describe(workers: Sequence[WorkerInfo], default: str) -> list[dict[str, Any]]:
    """One entry for each model as loaded (name, fingerprint, precision, …), with how many workers serve it by role."""
    entries: list[dict[str, Any]] = []
    for worker in workers:
        for model in worker.models:
            entry = next((known for known in entries if known["model"] == model), None)
            if entry is None:
                entry = {"model": model, "workers": {}}
                entries.append(entry)
            entry["workers"][worker.role] = entry["workers"].get(worker.role, 0) + 1
    return [
        {**entry["model"], "default": entry["model"].get("name") == default, "workers": entry["workers"]}
        for entry in entries
    ]
