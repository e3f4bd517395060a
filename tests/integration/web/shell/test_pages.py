from __future__ import annotations

import html
import io
import re

import pytest

from tests.fixtures.page_checker import checked_page, problems_of
from yeban.messaging.queues import TextReply

CSV = "id,text,label\n1,包裹三天没动了,物流\n2,退款一直没到账,退款\n3,,退款\n4,怎么开发票,发票\n"


def _job(client, content: str = CSV, name: str = "tickets.csv", **fields: str) -> str:
    """The address of a new job's page."""
    form = {"labels": "物流,退款,发票", **fields, "file": (io.BytesIO(content.encode()), name)}
    made = client.post("/api/v1/jobs", data=form, content_type="multipart/form-data")
    return made.headers["Location"].removeprefix("/api/v1")


def test_a_text_is_tagged_and_shown_with_its_bars(client, start_worker):
    reply = TextReply(
        scores=[0.2, 0.8], model="e5-small", precision="int8", inference_ms=3, cache_lookups=10, cache_hits=7
    )
    start_worker(lambda _: reply)
    page = checked_page(
        client.post("/", data={"text": "退我钱<b>", "labels": "物流\n退款", "template": "{}", "threshold": ""})
    )
    assert '<span class="tag">退款</span>' in page
    assert page.index("80.0%") < page.index("20.0%")
    assert 'width="80.00"' in page
    assert "7 of 10" in page
    assert "退我钱&lt;b&gt;</textarea>" in page


def test_a_text_under_the_threshold_is_shown_without_label(client, start_worker):
    start_worker()
    page = checked_page(client.post("/", data={"text": "x", "labels": "a,b", "threshold": "0.9"}))
    assert "No label reached the threshold" in page


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("text", " ", "not blank"),
        ("labels", "", "at least one label"),
        ("labels", "a,a", "appears twice"),
        ("template", "none", "exactly once"),
        ("threshold", "7", "between 0 and 1"),
        ("threshold", "much", "threshold"),
        ("model", "none", "No worker serves"),
        ("colour", "red", "no such field"),
    ],
)
def test_what_is_wrong_stands_beside_what_was_entered(client, field, value, problem):
    form = {
        "text": "我的包裹",
        "labels": "甲,乙",
        "template": "这是{}",
        "threshold": "0.3",
        "multi_label": "on",
        field: value,
    }
    page = html.unescape(checked_page(client.post("/", data=form), 422))
    assert 'role="alert"' in page
    assert problem in page
    for name, kept in form.items():
        if name != field:
            assert ("checked" if name == "multi_label" else kept) in page


def test_no_answer_is_shown_with_the_text_kept(make_app):
    client = make_app(interactive_deadline_ms=100).test_client()
    page = checked_page(client.post("/", data={"text": "我的包裹", "labels": "a,b"}), 504)
    assert "no interactive worker is running" in page
    assert "我的包裹</textarea>" in page


def test_an_ended_job_shows_counts_labels_accuracy_and_errors(client, tag):
    location = _job(client, gold_column="label")
    tag(location.rpartition("/")[2])
    page = checked_page(client.get(location))
    assert "completed with errors" in page
    assert "25.0%" in page  # accuracy
    assert "empty text" in page
    assert "job.js" not in page
    assert re.findall(r'href="(/api[^"]+)"', page) == [
        f"/api/v1{location}/{end}" for end in ("results.csv", "results.xlsx", "results.jsonl", "errors.csv?language=en")
    ]


def test_buttons_pause_resume_and_cancel(client, job_id):
    for action, state in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled")):
        assert f'action="/jobs/{job_id}/{action}"' in client.get(f"/jobs/{job_id}").text
        response = client.post(f"/jobs/{job_id}/{action}")
        assert (response.status_code, response.headers["Location"]) == (303, f"/jobs/{job_id}")
        assert client.get(f"/api/v1/jobs/{job_id}").json["state"] == state


def test_a_button_that_comes_too_late_is_told_on_the_page(client, job_id, tag):
    tag(job_id)
    page = checked_page(client.post(f"/jobs/{job_id}/pause"), 409)
    assert "cannot be paused" in page
    assert "tickets.csv" in page


def test_the_live_part_says_when_nothing_will_change_any_more(client, job_id, tag):
    running = client.get(f"/jobs/{job_id}/live")
    assert "X-Job-Still" not in running.headers
    tag(job_id)
    ended = client.get(f"/jobs/{job_id}/live")
    assert ended.headers["X-Job-Still"] == "true"
    assert "<html" not in ended.text
    assert problems_of(ended.text) == []


def test_jobs_are_listed_with_a_way_to_older_ones(client, upload):
    assert "No jobs yet" in checked_page(client.get("/jobs"))
    names = [f"file{number}.csv" for number in range(27)]
    for name in names:
        upload(name=name)
    page = checked_page(client.get("/jobs"))
    assert re.findall(r">(file\d+)", page) == [name[:-4] for name in reversed(names[2:])]
    older = html.unescape(re.search(r'href="(/jobs\?cursor=[^"]+)"', page)[1])
    assert re.findall(r">(file\d+)", checked_page(client.get(older))) == ["file1", "file0"]


def test_the_pages_of_a_corrected_job_are_sound(client, tag):
    location = _job(client)
    tag(location.rpartition("/")[2])
    assert "包裹三天没动了" in checked_page(client.get(f"{location}/review"))
    form = {"shown": ["1", "4"], "row-1": "2", "row-4": "none", "then": "next"}
    for path in (client.post(f"{location}/review", data=form).headers["Location"], location):
        assert "2 rows are corrected" in checked_page(client.get(path))


def test_names_and_labels_are_shown_as_text(client, tag):
    evil = "<img src=x onerror=alert(1)>"
    location = _job(client, f"text\n{evil}\n", name=f"{evil}.csv", labels=f"{evil},b,c")
    tag(location.rpartition("/")[2])
    for path in (location, "/jobs"):
        page = checked_page(client.get(path))
        assert "<img src=x" not in page
        assert "&lt;img src=x" in page


@pytest.mark.parametrize("path", ["/jobs/c990fe63-11e7-4f74-b2cb-a52e593e4dcf", "/jobs/abc", "/nowhere"])
def test_what_is_not_there_is_a_page(client, path):
    assert "Not found" in checked_page(client.get(path), 404).replace("Not Found", "Not found")


def test_pages_stand_while_the_servers_are_away(make_app):
    client = make_app(database_url="postgresql://127.0.0.1:1/none", redis_url="redis://127.0.0.1:1/0").test_client()
    checked_page(client.get("/"))
    assert "earlier uploads can" in checked_page(client.get("/upload"))
    checked_page(client.get("/jobs"), 503)
    checked_page(client.post("/", data={"text": "x", "labels": "a,b"}), 503)


@pytest.mark.parametrize(
    "name",
    [
        "css/base.css",
        "js/base.js",
        "js/sending.js",
        "js/job.js",
        "js/review.js",
        "css/job.css",
        "css/review.css",
        "css/accuracy.css",
        "vendor/htmx.min.js",
        "moon.svg",
    ],
)
def test_what_the_pages_need_is_served_from_here(client, name):
    response = client.get(f"/static/{name}")
    assert response.status_code == 200
    assert "://" not in response.text.replace("http://www.w3.org/2000/svg", "")
    response.close()
