"""Workers as the API shows them."""

from __future__ import annotations

from typing import Any

from yeban.chunks.workers import WorkerInfo


def describe(worker: WorkerInfo) -> dict[str, Any]:
    """A worker, the names of its models, and the counters of its caches with their hit rates."""
    return {
        "id": str(worker.id),
        "role": worker.role,
        "host": worker.host,
        "pid": worker.pid,
        "models": [model["name"] for model in worker.models],
        "cache": {
            store: {layer: counters | {"hit_rate": _hit_rate(counters)} for layer, counters in layers.items()}
            for store, layers in worker.cache.items()
        },
    }


def _hit_rate(counters: dict[str, Any]) -> float | None:
    """Hits among lookups, from 0 to 1; None before the first lookup."""
    lookups = counters["hits"] + counters["misses"]
    return round(counters["hits"] / lookups, 4) if lookups else None
