from __future__ import annotations

import hashlib
import io
import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
import redis

from yeban.messaging.queues import BULK_QUEUE

CSV = "id,text,label\n1,包裹三天没动了,物流\n2,退款一直没到账,退款\n3,,退款\n4,怎么开发票,发票\n"
JOBS = "/api/v1/jobs"


def test_an_upload_becomes_a_queued_job(client, upload, redis_url):
    response = upload(gold_column="label", template="这是{}")
    assert response.status_code == 201
    job = response.json
    assert response.headers["Location"] == f"{JOBS}/{job['id']}" == job["links"]["self"]
    assert job["state"] == "queued"
    assert [label["name"] for label in job["labels"]] == ["物流", "退款", "发票"]
    assert (job["template"], job["multi_label"], job["threshold"]) == ("这是{}", False, None)
    assert (job["text_column"], job["gold_column"]) == ("text", "label")
    assert job["model"] == {"name": "e5-small", "fingerprint": None}
    assert job["source"] == {
        "name": "tickets.csv",
        "sha256": hashlib.sha256(CSV.encode()).hexdigest(),
        "format": "csv",
        "encoding": "utf-8",
        "delimiter": ",",
        "columns": ["id", "text", "label"],
    }
    assert job["progress"]["rows"] == 4
    assert {"cancel", "pause"} < set(job["links"])
    assert "resume" not in job["links"]
    with redis.Redis.from_url(redis_url) as broker:
        assert broker.llen(BULK_QUEUE) == 2  # four rows in chunks of two
    assert client.get(job["links"]["self"]).json == job


@pytest.mark.parametrize(
    "labels",
    ["物流, 退款，发票", ["物流", "退款", "发票"], '["物流", {"name": "退款"}, "发票"]', "物流\r\n退款\r\n发票\r\n"],
)
def test_labels_may_be_one_field_or_many_or_json(upload, labels):
    response = upload(labels=labels)
    assert [label["name"] for label in response.json["labels"]] == ["物流", "退款", "发票"]


def test_a_label_with_a_comma_may_stand_in_a_field_of_its_own(upload):
    assert [label["name"] for label in upload(labels=["a,b", "c"]).json["labels"]] == ["a,b", "c"]


def test_what_is_asked_of_the_reader_reaches_it(upload):
    response = upload("甲|乙\n一|二\n".encode("gb18030"), encoding="gb18030", delimiter="|", text_column="#2")
    assert response.status_code == 201, response.text
    assert (response.json["text_column"], response.json["source"]["encoding"]) == ("乙", "gb18030")


def test_a_tab_may_be_named_as_the_delimiter(upload):
    response = upload("a\tb,c\n1\t2,3\n", delimiter="\t", text_column="b,c")
    assert response.json["source"]["columns"] == ["a", "b,c"]


def test_a_job_may_wait_for_its_time(upload):
    start = datetime.now(UTC) + timedelta(hours=2)
    job = upload(start_at=start.isoformat(), expires_at=(start + timedelta(hours=1)).isoformat()).json
    assert job["state"] == "scheduled"
    assert datetime.fromisoformat(job["start_at"]) == start


def test_a_time_that_is_none_is_refused_with_how_one_is_written(upload):
    detail = "start_at: use a time such as 2026-11-22T22:00:00+08:00."
    assert upload(start_at="tonight").json["detail"] == detail


def test_a_job_may_expire_without_a_start_time(upload):
    expires = datetime.now(UTC) + timedelta(hours=1)
    assert datetime.fromisoformat(upload(expires_at=expires.isoformat()).json["expires_at"]) == expires


def test_a_repeated_key_gives_the_first_job_again(client, upload):
    first = upload(headers={"Idempotency-Key": "k1"})
    again = upload(headers={"Idempotency-Key": "k1"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json["id"] == first.json["id"]
    assert len(client.get(JOBS).json["jobs"]) == 1


def test_a_key_used_for_another_request_conflicts(upload):
    first = upload(headers={"Idempotency-Key": "k1"})
    other = upload(headers={"Idempotency-Key": "k1"}, threshold="0.5")
    assert (other.status_code, other.json["code"], other.json["job_id"]) == (409, "conflict", first.json["id"])


def test_a_file_that_cannot_be_read_leaves_nothing_behind(client, upload):
    response = upload(b'text\nfine\n"open\n')
    assert (response.status_code, response.json["code"], response.json["row"]) == (422, "invalid_table", 3)
    assert client.get(JOBS).json == {"jobs": [], "next_cursor": None}


def test_a_column_that_is_not_there_is_named_with_those_that_are(upload):
    response = upload(text_column="txt")
    assert (response.status_code, response.json["code"]) == (422, "unknown_column")
    assert all(name in response.json["detail"] for name in ("“id”", "“text”", "“label”"))


def test_too_many_rows_are_refused(make_app):
    client = make_app(max_rows=3).test_client()
    response = client.post(JOBS, data={"labels": "a,b", "file": (io.BytesIO(CSV.encode()), "t.csv")})
    assert (response.status_code, response.json["code"], response.json["row"]) == (413, "too_large", 5)


class Body(io.BytesIO):
    """A request body that must not be read."""

    def read(self, size: int | None = -1) -> bytes:
        raise AssertionError("The body was read.")


def test_an_upload_over_the_limit_is_refused_unread(client):
    body = Body(b"x" * 100)
    response = client.post(
        JOBS,
        input_stream=body,
        environ_overrides={"CONTENT_LENGTH": str(6 * 2**20)},
        content_type="multipart/form-data; boundary=x",
    )
    assert (response.status_code, response.json["code"]) == (413, "too_large")
    assert "1 MiB" in response.json["detail"]


def test_a_model_must_be_served_by_a_bulk_worker(upload, live_worker):
    live_worker("interactive", "structbert-large")
    assert upload(model="structbert-large").json["code"] == "unknown_model"
    live_worker("bulk", "structbert-large")
    assert upload(model="structbert-large").json["model"]["name"] == "structbert-large"


def test_a_broker_that_is_away_does_not_lose_the_job(make_app):
    client = make_app(redis_url="redis://127.0.0.1:1/0").test_client()
    response = client.post(JOBS, data={"labels": "a,b", "file": (io.BytesIO(CSV.encode()), "t.csv")})
    assert response.status_code == 201
    assert client.get(response.headers["Location"]).json["state"] == "queued"


def test_a_database_that_is_away_is_unavailable(make_app):
    client = make_app(database_url="postgresql://127.0.0.1:1/none").test_client()
    response = client.get(JOBS)
    assert (response.status_code, response.json["code"]) == (503, "unavailable")
    assert "Retry-After" in response.headers


def test_jobs_are_listed_newest_first_in_pages(client, upload):
    made = [upload().json["id"] for _ in range(5)]
    seen, cursor = [], None
    while True:
        page = client.get(JOBS, query_string={"limit": 2, **({"cursor": cursor} if cursor else {})}).json
        seen.append([job["id"] for job in page["jobs"]])
        cursor = page["next_cursor"]
        if cursor is None:
            break
    newest = made[::-1]
    assert seen == [newest[:2], newest[2:4], newest[4:]]


def test_jobs_are_listed_by_state(client, upload):
    paused = upload().json["id"]
    upload()
    client.post(f"{JOBS}/{paused}/pause")
    assert [job["id"] for job in client.get(f"{JOBS}?state=paused").json["jobs"]] == [paused]
    assert client.get(f"{JOBS}?state=failed").json["jobs"] == []


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("TICKET", ["tickets_100%.csv", "Ticket 十一月.csv"]),
        (" 十一 ", ["Ticket 十一月.csv"]),
        ("%", ["tickets_100%.csv"]),
        ("_", ["tickets_100%.csv"]),
        ("nowhere", []),
        (" ", ["other.csv", "tickets_100%.csv", "Ticket 十一月.csv"]),
        ("\0", ["other.csv", "tickets_100%.csv", "Ticket 十一月.csv"]),
        ("x" * 200, []),
    ],
)
def test_jobs_are_listed_by_a_part_of_their_files_name(client, upload, name, found):
    for given in ("Ticket 十一月", "tickets_100%", "other"):
        upload(name=f"{given}.csv")
    page = client.get(JOBS, query_string={"name": name}).json
    assert [job["source"]["name"] for job in page["jobs"]] == found


def test_the_next_page_of_some_names_has_none_but_them(client, upload):
    for given in ("a1", "b", "a2", "b", "a3"):
        upload(name=f"{given}.csv")
    first = client.get(JOBS, query_string={"name": "a", "limit": 2}).json
    second = client.get(JOBS, query_string={"name": "a", "limit": 2, "cursor": first["next_cursor"]}).json
    pages = [[job["source"]["name"] for job in page["jobs"]] for page in (first, second)]
    assert pages == [["a3.csv", "a2.csv"], ["a1.csv"]]
    assert second["next_cursor"] is None


def test_too_long_a_name_is_refused(client):
    response = client.get(JOBS, query_string={"name": "x" * 201})
    assert (response.status_code, response.json["field"]) == (422, "name")


def test_pause_resume_and_cancel_return_the_job(client, job_id, redis_url):
    assert client.post(f"{JOBS}/{job_id}/pause").json["state"] == "paused"
    assert client.post(f"{JOBS}/{job_id}/pause").json["state"] == "paused"
    with redis.Redis.from_url(redis_url) as broker:
        broker.delete(BULK_QUEUE)
        resumed = client.post(f"{JOBS}/{job_id}/resume")
        assert (resumed.status_code, resumed.json["state"]) == (200, "queued")
        assert broker.llen(BULK_QUEUE) == 2  # hinted anew at once
    cancelled = client.post(f"{JOBS}/{job_id}/cancel").json
    assert cancelled["state"] == "cancelled"
    assert "resume" in cancelled["links"]
    assert "cancel" not in cancelled["links"]


def test_an_ended_job_can_be_deleted_and_is_then_not_found(client, job_id):
    refused = client.delete(f"{JOBS}/{job_id}")
    assert (refused.status_code, refused.json["code"]) == (409, "conflict")
    client.post(f"{JOBS}/{job_id}/cancel")
    deleted = client.delete(f"{JOBS}/{job_id}")
    assert (deleted.status_code, deleted.data) == (204, b"")
    for response in (client.get(f"{JOBS}/{job_id}"), client.delete(f"{JOBS}/{job_id}")):
        assert (response.status_code, response.json["code"]) == (404, "not_found")
    assert client.get(JOBS).json["jobs"] == []


def test_what_the_state_does_not_allow_conflicts(client, job_id, tag):
    tag(job_id)
    for action in ("pause", "resume", "cancel"):
        response = client.post(f"{JOBS}/{job_id}/{action}")
        assert (response.status_code, response.json["state"]) == (409, "completed_with_errors")


def test_an_ended_job_tells_its_summary(client, upload, tag):
    job_id = upload(gold_column="label").json["id"]
    tag(job_id)
    job = client.get(f"{JOBS}/{job_id}").json
    assert job["state"] == "completed_with_errors"
    assert job["progress"] | {"rows_per_s": None, "eta_s": None} == {
        "rows": 4,
        "done": 4,
        "ok": 3,
        "abstained": 0,
        "errors": 1,
        "percent": 100.0,
        "rows_per_s": None,
        "eta_s": None,
    }
    assert job["summary"]["labels"] == {"物流": 3, "退款": 0, "发票": 0}
    assert job["summary"]["evaluation"]["accuracy"] == 0.25
    assert set(job["times"]) >= {"created_at", "queued_at", "running_at", "ended_at"}


@pytest.mark.parametrize("suffix", ["", "/results", "/results.csv", "/results.xlsx", "/results.jsonl", "/errors.csv"])
def test_a_job_that_is_not_there_is_not_found(client, suffix):
    response = client.get(f"{JOBS}/{uuid.uuid4()}{suffix}")
    assert (response.status_code, response.json["code"]) == (404, "not_found")
    assert json.loads(response.data)["title"] == "Not found"
