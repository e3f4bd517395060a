"""Answers about the service: its models, workers and health."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, computed_field

from web.http.json import AnswerBody, maybe_absent
from yeban.chunks.workers import WorkerInfo

_Role = Literal["bulk", "interactive"]


class Model(AnswerBody):
    """A model that live workers have loaded."""

    name: str
    kind: str
    """How it scores: `nli`, `embedding` or `shortlist`."""
    fingerprint: str
    precision: str
    session: str
    """The runtime, such as `openvino`."""
    device: str
    max_tokens: int | None = maybe_absent()
    """Tokens of a text that it reads; longer texts are truncated."""
    default: bool
    """Whether it is used for requests that name no model."""
    workers: dict[_Role, int]
    """Number of workers by role."""


class Models(AnswerBody):
    """Models that live workers serve."""

    default: str
    models: list[Model]

    example: ClassVar[Mapping[str, Any] | None] = {
        "default": "e5-small",
        "models": [
            {
                "name": "e5-small",
                "kind": "embedding",
                "fingerprint": "8c1f0a37d2e94b56",
                "precision": "int8",
                "session": "openvino",
                "device": "cpu",
                "max_tokens": 512,
                "default": True,
                "workers": {"interactive": 1, "bulk": 1},
            }
        ],
    }


class CacheCounters(AnswerBody):
    """Counters of one cache layer since the worker started. A layer is asked only for misses of the layer before."""

    hits: int
    misses: int
    writes: int
    evictions: int
    failures: int
    """Calls that timed out."""
    entries: int | None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def hit_rate(self) -> float | None:
        """0 to 1; `null` before the first lookup."""
        lookups = self.hits + self.misses
        return round(self.hits / lookups, 4) if lookups else None


class Worker(AnswerBody):
    """A worker with a recent heartbeat."""

    id: UUID
    role: _Role
    host: str
    pid: int
    models: list[str]
    cache: dict[str, dict[str, CacheCounters]]
    """By kind of value (`labels`, `texts`, `pairs`) and layer (`memory`, `redis`)."""

    @classmethod
    def of(cls, view: WorkerInfo) -> Self:
        return cls(
            id=view.id,
            role=view.role,
            host=view.host,
            pid=view.pid,
            models=[model["name"] for model in view.models],
            cache={
                kind: {layer: CacheCounters.of(counters) for layer, counters in layers.items()}
                for kind, layers in view.cache.items()
            },
        )


class Workers(AnswerBody):
    """Live workers, oldest first."""

    workers: list[Worker]

    example: ClassVar[Mapping[str, Any] | None] = {
        "workers": [
            {
                "id": "5c1b6f0e-7a2d-4e0c-9d5f-3b8a1c2d4e6f",
                "role": "bulk",
                "host": "night",
                "pid": 4711,
                "models": ["e5-small"],
                "cache": {
                    "labels": {
                        "memory": {
                            "hits": 90,
                            "misses": 10,
                            "writes": 10,
                            "evictions": 0,
                            "failures": 0,
                            "entries": 10,
                            "hit_rate": 0.9,
                        }
                    }
                },
            }
        ]
    }


class Alive(AnswerBody):
    """The process is alive."""

    status: Literal["ok"]

    example: ClassVar[Mapping[str, Any] | None] = {"status": "ok"}


class Check(AnswerBody):
    """The state of one dependency."""

    ok: bool
    detail: str | None = maybe_absent()
    """What is missing."""


class Readiness(AnswerBody):
    """Readiness of the service and its dependencies."""

    status: Literal["ready", "not ready"]
    checks: dict[str, Check]
    """By dependency: `database`, `migrations`, `redis`, and a worker of each role."""

    example: ClassVar[Mapping[str, Any] | None] = {
        "status": "not ready",
        "checks": {
            "database": {"ok": True},
            "migrations": {"ok": True},
            "redis": {"ok": True},
            "worker.interactive": {"ok": True},
            "worker.bulk": {"ok": False, "detail": "No bulk worker is alive."},
        },
    }


class ApiDescription(AnswerBody):
    """An OpenAPI 3.1 document."""

    model_config = ConfigDict(extra="allow")

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
