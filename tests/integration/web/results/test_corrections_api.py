"""Corrections and refining again, as programs ask for them."""

from __future__ import annotations

import csv
import io
import json
import uuid
from dataclasses import replace

import pytest
import redis

from tests.fixtures.jobs import UNCHANGED
from yeban.labels import Status
from yeban.messaging.queues import BULK_QUEUE, FINISH_JOB
from yeban.results.completion import Refinement, finish_job

JOBS = "/api/v1/jobs"


@pytest.fixture
def put(client):
    """Send corrections of a job."""

    def send(job_id: str, *items: dict, **more):
        return client.put(f"{JOBS}/{job_id}/corrections", json={"corrections": list(items), **more})

    return send


@pytest.fixture
def refine(work):
    """Stands in for the bulk workers: ends a job as refined, with the rows given as 退款."""

    def end(public_id: str, *rows: int, suggested: tuple[int, ...] = ()) -> None:
        report = replace(
            UNCHANGED,
            rows=3,
            changed=len(rows),
            moves=((0, 1, len(rows)),),
            examples=tuple(rows),
            suggested=tuple(suggested),
            sample_rows=3,
            temper=0.5,
            seconds=0.1,
        )
        work.execute("UPDATE job SET refine = true WHERE public_id = :id", id=public_id)
        (internal_id,) = work.column("SELECT id FROM job WHERE public_id = :id", id=public_id)
        decided = [(row, Status.OK, 1, 0.9, 0.8) for row in rows]
        assert finish_job(work.database, internal_id, lambda _job, _keep: Refinement(rows=decided, report=report))

    return end


@pytest.fixture
def embedded(work, job_id, tag):
    """A tagged job that keeps embeddings."""
    tag(job_id)
    work.execute(
        "INSERT INTO embedding (job_id, first_row, last_row, encoder, vectors)"
        " SELECT id, 1, row_count, 'e', ''::bytea FROM job WHERE public_id = :id",
        id=job_id,
    )
    return job_id


def test_rows_are_corrected_and_the_job_is_told(client, job_id, tag, put):
    tag(job_id)
    response = put(
        job_id, {"row": 1, "labels": ["退款"]}, {"row": 2, "labels": []}, {"row": 4, "labels": None}, author="小王"
    )
    assert response.status_code == 200, response.text
    assert (response.json["stored"], response.json["removed"]) == (2, 0)
    assert response.json["job"] == client.get(f"{JOBS}/{job_id}").json
    assert response.json["job"]["corrections"] == 2
    assert response.json["job"]["summary"]["labels"] == {"物流": 1, "退款": 1, "发票": 0}
    first, second, *_ = client.get(f"{JOBS}/{job_id}/results").json["rows"]
    assert (first["labels"], first["row_labels"], first["score"], first["corrected"]) == (
        ["退款"],
        ["物流"],
        None,
        True,
    )
    assert (second["status"], second["labels"], second["row_labels"]) == ("abstained", [], ["物流"])
    assert put(job_id, {"row": 2, "labels": None}, {"row": 1, "labels": ["退款"]}).json["removed"] == 1


def test_corrections_are_listed_in_pages(client, job_id, tag, put):
    tag(job_id)
    put(job_id, *({"row": row, "labels": ["发票"]} for row in (4, 1, 3)), author="小王")
    first = client.get(f"{JOBS}/{job_id}/corrections?limit=2").json
    assert [item["row"] for item in first["corrections"]] == [1, 3]
    rest = client.get(f"{JOBS}/{job_id}/corrections", query_string={"cursor": first["next_cursor"]}).json
    assert rest["next_cursor"] is None
    (last,) = rest["corrections"]
    assert last.pop("made_at").endswith("+00:00")
    assert last == {"row": 4, "file_row": 5, "text": "怎么开发票", "labels": ["发票"], "author": "小王"}


def test_a_cursor_of_another_list_is_refused(client, job_id, tag):
    tag(job_id)
    cursor = client.get(f"{JOBS}/{job_id}/results?limit=1").json["next_cursor"]
    assert client.get(f"{JOBS}/{job_id}/corrections", query_string={"cursor": cursor}).status_code == 422


def test_downloads_say_what_was_corrected(client, job_id, tag, put):
    tag(job_id)
    put(job_id, {"row": 3, "labels": ["退款"]})
    table = list(csv.DictReader(io.StringIO(client.get(f"{JOBS}/{job_id}/results.csv").data.decode("utf-8-sig"))))
    assert (table[2]["yeban_label"], table[2]["yeban_status"], table[2]["yeban_corrected"]) == ("退款", "ok", "yes")
    lines = [json.loads(line) for line in client.get(f"{JOBS}/{job_id}/results.jsonl").data.splitlines()]
    assert [line["yeban_corrected"] for line in lines] == ["", "", "yes", ""]
    assert client.get(f"{JOBS}/{job_id}/errors.csv").text.splitlines()[1:] == []
    assert client.get(f"{JOBS}/{job_id}").json["state"] == "completed"


@pytest.mark.parametrize(
    ("items", "status", "words"),
    [
        ([], 422, "0 corrections"),
        ([{"row": row, "labels": []} for row in range(1, 1002)], 422, "1001 corrections"),
        ([{"row": 1, "labels": ["退款"]}, {"row": 9, "labels": []}], 422, "no row 9; its rows are 1 to 4"),
        ([{"row": 0, "labels": []}], 422, "no row 0"),
        ([{"row": 10**30, "labels": []}], 422, "no row 1000"),
        ([{"row": 1, "labels": ["丁"]}], 422, "“丁”"),
        ([{"row": 1, "labels": ["退款", "物流"]}], 422, "Row 1: 2 labels"),
        ([{"row": 1, "labels": []}, {"row": 1, "labels": None}], 422, "Row 1 appears twice"),
        ([{"row": 1}], 422, "labels"),
        ([{"row": "1", "labels": []}], 422, "row"),
        ([{"row": True, "labels": []}], 422, "row"),
        ([{"row": 1, "labels": "退款"}], 422, "labels"),
        ([{"row": 1, "labels": [None]}], 422, "labels"),
        ([{"row": 1, "labels": [], "label": "退款"}], 422, "no such field"),
        ([[1, []]], 422, "corrections.0"),
        ("all", 422, "corrections"),
    ],
    ids=range(16),
)
def test_what_cannot_be_is_refused_whole_and_named(client, job_id, tag, items, status, words):
    tag(job_id)
    response = client.put(f"{JOBS}/{job_id}/corrections", json={"corrections": items})
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    assert words in response.json["detail"]
    assert client.get(f"{JOBS}/{job_id}/corrections").json["corrections"] == []


@pytest.mark.parametrize("author", ["x" * 201, "a\x00b", 7])
def test_a_bad_author_is_refused(job_id, tag, put, author):
    tag(job_id)
    assert put(job_id, {"row": 1, "labels": []}, author=author).status_code == 422


def test_a_row_without_result_conflicts(job_id, put):
    response = put(job_id, {"row": 2, "labels": ["退款"]})
    assert (response.status_code, response.json["code"], response.json["row"]) == (409, "conflict", 2)


def test_corrections_need_json(client, job_id):
    response = client.put(f"{JOBS}/{job_id}/corrections", data={"row": "1"})
    assert response.status_code == 415


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}])
def test_other_sites_correct_and_refine_nothing(client, embedded, headers):
    body = {"corrections": [{"row": 1, "labels": []}]}
    assert client.put(f"{JOBS}/{embedded}/corrections", json=body, headers=headers).status_code == 403
    assert client.post(f"{JOBS}/{embedded}/refine", headers=headers).status_code == 403
    form = {"shown": "1", "row-1": "1", "then": "refine"}
    assert client.post(f"/jobs/{embedded}/review", data=form, headers=headers).status_code == 403
    job = client.get(f"{JOBS}/{embedded}").json
    assert (job["corrections"], job["state"]) == (0, "completed_with_errors")


def test_the_rows_that_refinement_chose_are_suggested(client, job_id, tag, refine, put, work):
    tag(job_id)
    work.execute("UPDATE job SET state = 'finishing'")
    refine(job_id, 1, 2, suggested=(4, 1, 2))
    rows = client.get(f"{JOBS}/{job_id}/suggestions?limit=2").json["rows"]
    assert [row["row"] for row in rows] == [4, 1]
    assert (rows[1]["labels"], rows[1]["row_labels"], rows[1]["refined"]) == (["退款"], ["物流"], True)
    put(job_id, {"row": 4, "labels": ["发票"]})
    assert [row["row"] for row in client.get(f"{JOBS}/{job_id}/suggestions").json["rows"]] == [1, 2]
    assert [row["row"] for row in client.get(f"{JOBS}/{job_id}/suggestions?skip=1").json["rows"]] == [2]


def test_the_job_tells_what_refinement_did(client, job_id, tag, refine, work):
    tag(job_id)
    assert client.get(f"{JOBS}/{job_id}").json["refinement"]["state"] == "skipped"
    work.execute("UPDATE job SET state = 'finishing'")
    refine(job_id, 1, 2)
    job = client.get(f"{JOBS}/{job_id}").json
    assert job["refine"] is True
    assert job["refinement"]["moves"] == [{"from": "物流", "to": "退款", "rows": 2}]
    assert job["summary"]["labels"] == {"物流": 1, "退款": 2, "发票": 0}


@pytest.mark.parametrize("query", ["limit=0", "limit=51", "skip=-1", "skip=x", "cursor=abc"])
def test_bad_queries_of_suggestions(client, job_id, query):
    assert client.get(f"{JOBS}/{job_id}/suggestions?{query}").status_code == 422


def test_a_job_is_refined_again_when_asked(client, embedded, redis_url):
    links = client.get(f"{JOBS}/{embedded}").json["links"]
    with redis.Redis.from_url(redis_url) as broker:
        broker.delete(BULK_QUEUE)
        response = client.post(links["refine"])
        assert (response.status_code, response.json["state"]) == (202, "finishing")
        assert "refine" not in response.json["links"]
        (message,) = broker.lrange(BULK_QUEUE, 0, -1)
        assert json.loads(message)["headers"]["task"] == FINISH_JOB
    assert client.post(links["refine"]).status_code == 202


def test_a_broker_that_is_away_does_not_keep_a_job_from_being_refined(make_app, embedded):
    client = make_app(redis_url="redis://127.0.0.1:1/0").test_client()
    assert client.post(f"{JOBS}/{embedded}/refine").json["state"] == "finishing"


def test_what_the_state_does_not_allow_conflicts(client, job_id, tag):
    response = client.post(f"{JOBS}/{job_id}/refine")
    assert (response.status_code, response.json["state"]) == (409, "queued")
    tag(job_id)
    response = client.post(f"{JOBS}/{job_id}/refine")
    assert response.status_code == 409
    assert "no embeddings" in response.json["detail"]
    assert "refine" not in client.get(f"{JOBS}/{job_id}").json["links"]


def test_links_lead_to_corrections_and_suggestions(client, job_id):
    links = client.get(f"{JOBS}/{job_id}").json["links"]
    assert client.get(links["corrections"]).json == {"corrections": [], "next_cursor": None}
    assert client.get(links["suggestions"]).json == {"rows": []}


def test_a_job_that_is_not_there_is_not_found(client):
    missing = f"{JOBS}/{uuid.uuid4()}"
    body = {"corrections": [{"row": 1, "labels": []}]}
    answers = [
        client.get(f"{missing}/corrections"),
        client.put(f"{missing}/corrections", json=body),
        client.get(f"{missing}/suggestions"),
        client.post(f"{missing}/refine"),
        client.get(missing.replace("/api/v1", "") + "/review"),
        client.post(missing.replace("/api/v1", "") + "/review"),
    ]
    assert [answer.status_code for answer in answers] == [404] * 6


@pytest.mark.parametrize(("given", "kept"), [(None, True), ("true", True), ("false", False)])
def test_refinement_can_be_asked_for_and_switched_off(upload, given, kept):
    job = upload(refine=given).json
    assert (job["refine"], job["refinement"], job["corrections"]) == (kept, None, 0)


def test_refinement_is_not_for_labels_that_go_together(upload):
    assert upload(multi_label="true").json["refine"] is False
    response = upload(multi_label="true", refine="true")
    assert (response.status_code, response.json["field"]) == (422, "refine")
