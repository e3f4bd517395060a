"""What is answered about the service itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal
from uuid import UUID

from pydantic import ConfigDict

from web.openapi.schema_base import AnswerBody, maybe_absent

_Role = Literal["bulk", "interactive"]


class Model(AnswerBody):
    """A model as live workers have loaded it."""

    name: str
    kind: str
    """How it scores: `nli`, `embedding` or `shortlist`."""
    fingerprint: str
    precision: str
    session: str
    """What runs it, such as `openvino`."""
    device: str
    max_tokens: int = maybe_absent()
    """Tokens of a text that it reads; the end of a longer one is left out."""
    default: bool
    """Whether it is used where no model is named."""
    workers: dict[_Role, int]
    """How many workers of each role serve it."""


class Models(AnswerBody):
    """The models that live workers serve."""

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
    """Counters of one layer of a cache since the worker began; it is asked only for what the nearer one lacks."""

    hits: int
    misses: int
    writes: int
    evictions: int
    failures: int
    """Calls that were not answered in time."""
    entries: int | None
    hit_rate: float | None
    """0 to 1; `null` before the first lookup."""


class Worker(AnswerBody):
    """A worker with a recent heartbeat."""

    id: UUID
    role: _Role
    host: str
    pid: int
    models: list[str]
    cache: dict[str, dict[str, CacheCounters]]
    """For each kind of value (`labels`, `texts`, `pairs`), the layers that keep it (`memory`, `redis`)."""


class Workers(AnswerBody):
    """Live workers, the longest-lived first."""

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
    """This process answers."""

    status: Literal["ok"]

    example: ClassVar[Mapping[str, Any] | None] = {"status": "ok"}


class Check(AnswerBody):
    """One part that a request may need."""

    ok: bool
    detail: str = maybe_absent()
    """What is missing."""


class Readiness(AnswerBody):
    """Whether everything that a request needs is there."""

    status: Literal["ready", "not ready"]
    checks: dict[str, Check]
    """By part: `database`, `migrations`, `redis`, and a worker of each role."""

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
