"""The list of jobs: its filters, and what it shows of each."""

from __future__ import annotations

import html
import re

import pytest


@pytest.fixture
def three(client, upload, tag):
    """A queued, a cancelled and a completed job."""
    made = {name: upload(name=f"{name}.csv").json["id"] for name in ("Ticket 十一月", "tickets_100%", "other")}
    client.post(f"/jobs/{made['tickets_100%']}/cancel")
    tag(made["other"])
    return made


def _names(client, **query: str) -> list[str]:
    response = client.get("/jobs", query_string=query)
    assert response.status_code == 200, response.text
    return [
        html.unescape(name).removesuffix(".csv") for name in re.findall(r'/jobs/[^"]{36}">([^<]+)</a>', response.text)
    ]


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ("all", ["other", "tickets_100%", "Ticket 十一月"]),
        ("", ["other", "tickets_100%", "Ticket 十一月"]),
        ("open", ["Ticket 十一月"]),
        ("ended", ["other", "tickets_100%"]),
        ("cancelled", ["tickets_100%"]),
        ("completed_with_errors", ["other"]),
        ("running", []),
    ],
)
def test_jobs_are_filtered_by_state(client, three, state, found):
    assert _names(client, state=state) == found


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("ticket", ["tickets_100%", "Ticket 十一月"]),
        (" 十一 ", ["Ticket 十一月"]),
        ("_", ["tickets_100%"]),
        ("%", ["tickets_100%"]),
        ("nowhere", []),
        ("\0", ["other", "tickets_100%", "Ticket 十一月"]),
    ],
)
def test_jobs_are_filtered_by_a_part_of_their_files_name(client, three, name, found):
    assert _names(client, name=name) == found


def test_what_was_asked_for_stands_in_the_form_and_in_the_way_to_more(client, upload):
    for number in range(27):
        upload(name=f"a{number}.csv")
    page = client.get("/jobs", query_string={"state": "open", "name": "a"}).text
    assert 'value="open" selected' in page
    assert 'id="name" name="name" value="a"' in page
    older = html.unescape(re.search(r'href="([^"]+)" rel="next"', page)[1])
    assert re.search(r"state=open", older)
    assert re.search(r"name=a(&|$)", older)
    rest = client.get(older).text
    assert re.findall(r">(a\d+)\.csv</a>", rest) == ["a1", "a0"]
    newest = html.unescape(re.search(r'class="pager"><a href="([^"]+)"', rest)[1])
    assert newest in {"/jobs?state=open&name=a", "/jobs?name=a&state=open"}


def test_nothing_like_that_is_not_the_same_as_no_jobs(client, job_id):
    page = client.get("/jobs?name=nowhere").text
    assert "No job matches" in page
    assert 'href="/jobs"' in page
    assert "No jobs yet" not in page


@pytest.mark.parametrize("query", ["state=none", "state=COMPLETED", "cursor=abc", "cursor=am9iczotMQ"])
def test_what_is_no_state_or_cursor_is_told(client, query):
    response = client.get(f"/jobs?{query}")
    assert response.status_code == 422
    assert 'role="alert"' in response.text


def test_owners_are_shown_where_there_are_any(client, three, work):
    assert "Owner" not in client.get("/jobs").text
    work.execute("UPDATE job SET owner = '小王' WHERE source_name = 'other.csv'")
    page = client.get("/jobs").text
    assert "Owner" in page
    assert re.findall(r'data-title="Owner">([^<]+)<', page) == ["小王", "–", "–"]


def test_each_bar_tells_its_job_by_name(client, three):
    page = html.unescape(client.get("/jobs").text)
    assert 'value="100.0" aria-label="Rows done of other.csv"' in page
