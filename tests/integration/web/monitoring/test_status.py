"""Health checks, models and workers."""

from __future__ import annotations

import dataclasses

from sqlalchemy import text

from yeban.chunks.workers import beat


def test_liveness_needs_no_server(make_app):
    client = make_app(database_url="postgresql://127.0.0.1:1/none", redis_url="redis://127.0.0.1:1/0").test_client()
    assert client.get("/healthz").json == {"status": "ok"}


def test_readiness_with_every_dependency(client, live_worker):
    live_worker("interactive")
    live_worker("bulk")
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json["status"] == "ready"
    assert set(response.json["checks"]) == {"database", "migrations", "redis", "worker.interactive", "worker.bulk"}


def test_readiness_names_the_missing_worker(client, live_worker):
    live_worker("bulk")
    response = client.get("/readyz")
    assert response.status_code == 503
    failing = {name for name, part in response.json["checks"].items() if not part["ok"]}
    assert failing == {"worker.interactive"}


def test_a_worker_without_a_recent_heartbeat_is_not_alive(client, live_worker, database):
    live_worker("interactive")
    live_worker("bulk")
    with database.begin() as connection:
        connection.execute(text("UPDATE worker SET seen_at = now() - interval '5 minutes' WHERE role = 'bulk'"))
    assert not client.get("/readyz").json["checks"]["worker.bulk"]["ok"]


def test_readiness_without_servers_is_json(make_app):
    client = make_app(database_url="postgresql://127.0.0.1:1/none", redis_url="redis://127.0.0.1:1/0").test_client()
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.content_type == "application/json"
    assert not any(part["ok"] for part in response.json["checks"].values())


def test_an_old_schema_is_not_ready(client, database, live_worker):
    live_worker("interactive")
    live_worker("bulk")
    with database.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'older'"))
    response = client.get("/readyz")
    assert response.status_code == 503
    assert not response.json["checks"]["migrations"]["ok"]


def test_a_missing_schema_is_not_ready(client, database):
    with database.begin() as connection:
        connection.execute(text("DROP TABLE worker"))
    response = client.get("/readyz")
    assert response.status_code == 503
    assert not response.json["checks"]["worker.bulk"]["ok"]


def test_models_are_listed_once_with_their_workers(client, live_worker):
    assert client.get("/api/v1/models").json == {"default": "e5-small", "models": []}
    live_worker("bulk")
    live_worker("bulk")
    live_worker("interactive")
    live_worker("bulk", "structbert-large")
    first, second = client.get("/api/v1/models").json["models"]
    assert first == {
        "name": "e5-small",
        "kind": "embedding",
        "fingerprint": "f" * 16,
        "precision": "int8",
        "session": "openvino",
        "device": "cpu",
        "default": True,
        "workers": {"bulk": 2, "interactive": 1},
    }
    assert (second["name"], second["default"], second["workers"]) == ("structbert-large", False, {"bulk": 1})


def test_workers_are_listed_with_their_cache_counters(client, live_worker, database):
    assert client.get("/api/v1/workers").json == {"workers": []}
    worker = live_worker("bulk")
    counters = {"writes": 1, "evictions": 0, "failures": 0, "entries": None}
    layers = {"memory": {"hits": 3, "misses": 1, **counters}, "redis": {"hits": 0, "misses": 0, **counters}}
    beat(database, dataclasses.replace(worker, cache={"pairs": layers}))
    (shown,) = client.get("/api/v1/workers").json["workers"]
    assert shown == {
        "id": str(worker.id),
        "role": "bulk",
        "host": "here",
        "pid": 1,
        "models": ["e5-small"],
        "cache": {
            "pairs": {
                "memory": {"hits": 3, "misses": 1, **counters, "hit_rate": 0.75},
                "redis": {"hits": 0, "misses": 0, **counters, "hit_rate": None},
            }
        },
    }
