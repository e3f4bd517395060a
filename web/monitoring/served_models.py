"""Models that a request may name: the default, and those that live workers serve."""

from __future__ import annotations

from web.services import Services
from yeban.chunks.workers import live_workers
from yeban.errors import ServiceUnavailable, UnknownModel, msg


def check_model(services: Services, name: str | None, *, role: str) -> str:
    """Return ``name`` if a worker serves it; the default without one. Raises :class:`~yeban.errors.UnknownModel`.

    The default needs no worker, so that jobs can be submitted while the workers start.
    """
    default = services.settings.model
    if name is None or name == default:
        return default
    known = _known(services, role)
    if name in known:
        return name
    raise UnknownModel(
        msg(
            "No worker serves the model %(name)s. Available: %(known)s.", name=repr(name[:100]), known=", ".join(known)
        ),
        models=known,
    )


def model_choices(services: Services, *, role: str) -> dict[str, str]:
    """Return the models to offer, the default first, with their precisions and sessions.

    A model without a live worker has "". While the database is unreachable the default is the only choice.
    """
    default = services.settings.model
    found: dict[str, set[str]] = {default: set()}
    try:
        workers = live_workers(services.database)
    except ServiceUnavailable:
        workers = []
    for worker in workers:
        for model in worker.models if worker.role == role else ():
            facts = ", ".join(str(model[fact]) for fact in ("precision", "session") if model.get(fact))
            found.setdefault(str(model["name"]), set()).add(facts)
    return {
        name: " / ".join(sorted(found[name] - {""})) for name in sorted(found, key=lambda name: (name != default, name))
    }


def _known(services: Services, role: str) -> list[str]:
    workers = live_workers(services.database)
    served = {str(model["name"]) for worker in workers if worker.role == role for model in worker.models}
    return sorted(served | {services.settings.model})
