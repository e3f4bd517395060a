"""Counters of one cache layer."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True)
class CacheStats:
    """Since the layer was made. ``entries`` is None where it cannot be known cheaply."""

    hits: int = 0
    misses: int = 0
    writes: int = 0
    evictions: int = 0
    failures: int = 0
    entries: int | None = None

    def to_json(self) -> dict[str, int | None]:
        """For metrics."""
        return asdict(self)
