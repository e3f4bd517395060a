"""Metrics of the web and of the whole service."""

from __future__ import annotations

import io
import socket
import time

import pytest

from tests.fixtures.scraping import Counting, Scraped, read
from web.monitoring import health, metrics
from yeban.messaging.queues import BULK_QUEUE, INTERACTIVE_QUEUE, make_redis


@pytest.fixture
def scrape(client):
    def scrape() -> Scraped:
        response = client.get("/metrics")
        assert response.status_code == 200
        assert response.content_type.startswith("text/plain; version=0.0.4")
        return read(response.text)

    return scrape


@pytest.fixture
def silent_port():
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def upload(client, **fields):
    file = (io.BytesIO("text\n一\n二\n三\n".encode()), "t.csv")
    return client.post("/api/v1/jobs", data={"labels": "a,b", "file": file} | fields)


def test_the_state_of_the_service(client, scrape, live_worker, redis_url):
    live_worker("bulk")
    live_worker("bulk")
    assert upload(client, start_at="2999-01-01T00:00:00Z").status_code == 201
    assert upload(client).status_code == 201
    with make_redis(redis_url) as redis:
        queued = redis.llen(BULK_QUEUE)
        redis.lpush(INTERACTIVE_QUEUE, "a", "b")
        redis.hset("unacked", mapping={"1": "x", "2": "y", "3": "z"})
    shown = scrape()
    assert shown("yeban_up", part="database") == shown("yeban_up", part="redis") == 1
    assert shown("yeban_jobs", state="scheduled") == shown("yeban_jobs", state="queued") == 1
    assert shown("yeban_jobs", state="paused") == 0
    assert shown("yeban_chunks", state="queued") == 4
    assert shown("yeban_chunks", state="leased") == 0
    assert (shown("yeban_workers", role="bulk"), shown("yeban_workers", role="interactive")) == (2, 0)
    assert shown("yeban_queue_messages", queue="bulk") == queued > 0
    assert shown("yeban_queue_messages", queue="interactive") == 2
    assert shown("yeban_unacknowledged_messages") == 3
    assert shown("yeban_build_info", program="web", version="0.1.0") == 1


def test_drafts_and_waiting_webhook_messages(client, scrape, database):
    assert client.post("/upload", data={"file": (io.BytesIO(b"text\n1\n"), "t.csv")}).status_code == 303
    job = upload(client).json["id"]
    with database.begin() as connection:
        connection.exec_driver_sql("INSERT INTO webhook (url, secret) VALUES ('https://example.com', 's')")
        for next_at in ("now()", "now() - interval '1 hour'", "now() + interval '1 hour'", "NULL"):
            connection.exec_driver_sql(
                "INSERT INTO webhook_delivery (webhook_id, job_id, event, payload, next_at) SELECT webhook.id, job.id,"  # noqa: S608
                f" 'job.completed', '{{}}', {next_at} FROM webhook, job WHERE job.public_id = '{job}'"
            )
    shown = scrape()
    assert (shown("yeban_drafts"), shown("yeban_draft_bytes")) == (1, 7)
    assert shown("yeban_webhook_messages", state="due") == 2
    assert shown("yeban_webhook_messages", state="later") == 1


def test_scrapes_within_the_cache_time_share_one_count(make_app, live_worker, monkeypatch):
    monkeypatch.setattr(metrics, "_CACHE_S", 3600.0)
    client = make_app().test_client()

    def scrape() -> Scraped:
        return read(client.get("/metrics").text)

    assert scrape()("yeban_workers", role="bulk") == 0
    live_worker("bulk")
    assert scrape()("yeban_workers", role="bulk") == 0


def test_finished_jobs_are_not_counted(client, scrape):
    job = upload(client).json["id"]
    assert client.post(f"/api/v1/jobs/{job}/cancel").status_code == 200
    shown = scrape()
    assert shown("yeban_jobs", state="queued") == 0
    assert shown("yeban_chunks", state="queued") == 0


def test_a_scrape_without_the_servers_reports_them_down(make_app):
    client = make_app(database_url="postgresql://127.0.0.1:1/none", redis_url="redis://127.0.0.1:1/0").test_client()
    shown = read(client.get("/metrics").text)
    assert shown("yeban_up", part="database") == shown("yeban_up", part="redis") == 0
    assert shown("yeban_jobs", state="queued") is None
    assert shown("yeban_queue_messages", queue="bulk") is None


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/healthz"])
def test_hanging_servers_do_not_hang_probes(make_app, silent_port, monkeypatch, path):
    for module, name in ((health, "TIMEOUT_S"), (metrics, "_TIMEOUT_S")):
        monkeypatch.setattr(module, name, 0.5)
    client = make_app(
        database_url=f"postgresql://127.0.0.1:{silent_port}/none", redis_url=f"redis://127.0.0.1:{silent_port}/0"
    ).test_client()
    started = time.monotonic()
    response = client.get(path)
    assert time.monotonic() - started < 15  # a minute where Redis is waited for, and 20 s where the database is
    if path == "/metrics":
        assert read(response.text)("yeban_up", part="database") == 0
    elif path == "/readyz":
        assert response.status_code == 503
        assert response.json["checks"]["database"]["detail"] == "The database did not answer within 0.5 s."
        assert not any(part["ok"] for part in response.json["checks"].values())
    else:
        assert response.status_code == 200


def test_a_slow_count_is_left_out_while_the_database_is_up(app, scrape, database):
    with database.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE chunk IN ACCESS EXCLUSIVE MODE")
        shown = scrape()
    assert shown("yeban_up", part="database") == 1
    assert shown("yeban_chunks", state="queued") is None
    assert shown("yeban_up", part="redis") == 1


def test_an_older_schema_leaves_counts_out(client, scrape, database):
    with database.begin() as connection:
        connection.exec_driver_sql("DROP TABLE worker")
    shown = scrape()
    assert shown("yeban_up", part="database") == 1
    assert shown("yeban_workers", role="bulk") is None


def test_requests_are_counted_by_route_not_by_path(client):
    counted = Counting()
    client.get("/healthz")
    client.get("/api/v1/jobs/00000000-0000-0000-0000-000000000000")
    client.get("/包裹三天没动了")
    client.open("/healthz", method="包裹")
    assert counted("yeban_http_requests_total", route="/healthz", method="GET", status="200") == 1
    assert counted("yeban_http_requests_total", route="/api/v1/jobs/<uuid:job_id>", method="GET", status="404") == 1
    assert counted("yeban_http_requests_total", route="none", method="GET", status="404") == 1
    assert counted("yeban_http_request_seconds_count", route="/healthz", method="GET") == 1
    assert counted("yeban_errors_total", program="web", code="not_found") == 2
    shown = client.get("/metrics").text
    assert "包裹" not in shown
    assert "00000000-0000" not in shown


def test_a_repeated_upload_is_counted_once(client):
    counted = Counting()
    content = "text\n一\n二\n三\n".encode()
    for status in (201, 200):
        file = (io.BytesIO(content), "t.csv")
        response = client.post(
            "/api/v1/jobs", data={"labels": "a,b", "file": file}, headers={"Idempotency-Key": "once"}
        )
        assert response.status_code == status
    assert counted("yeban_uploaded_bytes_total") == len(content)
    assert counted("yeban_uploaded_rows_total") == 3
    assert counted("yeban_jobs_created_total") == 1
