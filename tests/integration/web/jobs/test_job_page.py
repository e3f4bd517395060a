"""The page of one job, while it runs and after."""

from __future__ import annotations

import html
import re

import pytest

from tests.fixtures.jobs import WORKER
from yeban.chunks import leases
from yeban.chunks.outcomes import ChunkOutcome, RowResult, finish_chunks
from yeban.errors import msg
from yeban.labels import Status


@pytest.fixture
def half_done(upload, work, database):
    """A running job of four rows in two chunks, the first of which is done: one row tagged, one without text."""
    job_id = upload("text,label\n一,物流\n,退款\n三,退款\n四,发票\n", gold_column="label").json["id"]
    (first, _) = work.column("SELECT id FROM chunk ORDER BY first_row")
    (lease,) = leases.claim(database, [first], worker_id=WORKER, lease_s=60)
    results = [
        RowResult(1, Status.OK, 1, 0.62, 0.3, [0.2, 0.62, 0.18]),
        RowResult(2, Status.ERROR, error=msg("empty text")),
    ]
    finish_chunks(database, [ChunkOutcome(lease=lease, results=results)])
    return job_id


def _text(response) -> str:
    assert response.status_code == 200, response.text
    return re.sub(r"\s+", " ", html.unescape(response.text))


def test_a_running_job_shows_what_it_found_so_far(client, half_done):
    page = _text(client.get(f"/jobs/{half_done}"))
    assert "2 of 4 rows · 50.0%" in page
    assert "Row labels of the first 2 finished rows" in page
    labels = page.partition('id="h-labels"')[2].partition("</table>")[0]
    assert re.findall(r'scope="row">([^<]+)<', labels) == ["退款", "物流", "发票"]
    assert "50.0%" in labels
    scores = page.partition('id="d-scores"')[2].partition("</table>")[0]
    assert '0.60 – 0.65</th><td class="number">1</td>' in scores
    assert 'role="img"' in page
    errors = page.partition('id="h-errors"')[2].partition("</table>")[0]
    assert re.findall(r"<td[^>]*>([^<]*)</td>", errors)[:2] == ["3", "empty text"]
    assert f'href="/jobs/{half_done}/review"' in page
    assert "errors.csv" in page


def test_its_other_pages_are_there_from_the_start(client, upload):
    """The page stays open while the job runs, and its head is not asked for again."""
    job_id = upload("text,label\n一,物流\n", gold_column="label").json["id"]
    page = client.get(f"/jobs/{job_id}").text
    for part in ("review", "accuracy"):
        assert f'<a href="/jobs/{job_id}/{part}">' in page.partition('class="tabs"')[2].partition("</nav>")[0]
        assert client.get(f"/jobs/{job_id}/{part}").status_code == 200
    assert '<a href="/jobs" aria-current="true">' in page, "where one is"


def test_its_labels_are_kept_for_the_next_file_once_it_has_ended(client, job_id, tag):
    assert "do-save-labels" not in client.get(f"/jobs/{job_id}").text
    tag(job_id)
    (document,) = re.findall(r'name="text" value="([^"]+)"', client.get(f"/jobs/{job_id}").text)
    form = client.post("/label-sets/import", data={"text": html.unescape(document)}).text
    assert re.findall(r'name="label" value="([^"]+)"', form) == ["物流", "退款", "发票"]


def test_its_parts_are_asked_for_by_the_script(client, half_done):
    page = client.get(f"/jobs/{half_done}").text
    assert f'hx-get="/jobs/{half_done}/live"' in page
    assert f'hx-get="/jobs/{half_done}/findings"' in page
    assert '<noscript><meta http-equiv="refresh"' in page
    for part in ("live", "findings"):
        answer = client.get(f"/jobs/{half_done}/{part}")
        assert (answer.headers["X-Job-State"], answer.headers["Cache-Control"]) == ("running", "no-store")
        assert "<html" not in answer.text


def test_neither_rows_nor_results_are_read_for_how_far_a_job_is(client, half_done, work):
    work.execute("ALTER TABLE result RENAME TO result_away")
    work.execute('ALTER TABLE "row" RENAME TO row_away')
    assert client.get(f"/jobs/{half_done}/live").status_code == 200
    assert client.get(f"/jobs/{half_done}/findings").status_code == 500


@pytest.mark.parametrize(("percent", "said"), [(0, "0%"), (24.9, "0%"), (25, "25%"), (99.9, "75%"), (100, "100%")])
def test_progress_is_said_aloud_in_quarters(client, half_done, monkeypatch, percent, said):
    monkeypatch.setattr("yeban.jobs.views.Progress.percent", percent)
    part = client.get(f"/jobs/{half_done}/live").text
    assert re.search(r'data-said="([^"]*)"', part)[1] == f"running: {said} of the rows are done"


def test_what_happened_when_is_told_in_order(client, half_done):
    client.post(f"/jobs/{half_done}/pause")
    client.post(f"/jobs/{half_done}/resume")
    client.post(f"/jobs/{half_done}/cancel")
    page = _text(client.get(f"/jobs/{half_done}"))
    timeline = page.partition('class="timeline"')[2].partition("</ol>")[0]
    assert re.findall(r"<span>([^<]+)</span>", timeline) == [
        "submitted", "started", "paused", "resumed", "cancelled by a person", "cancelled"
    ]  # fmt: skip


def test_what_lies_ahead_is_told(client, upload):
    job_id = upload(start_at="2999-01-01T00:00:00Z", expires_at="2999-01-02T00:00:00Z").json["id"]
    timeline = client.get(f"/jobs/{job_id}").text.partition('class="timeline"')[2].partition("</ol>")[0]
    assert re.findall(r"<span>([^<]+)</span>", timeline) == ["submitted", "starts", "stops"]


def test_an_ended_job_can_be_deleted_once_asked(client, job_id, tag):
    assert f"/jobs/{job_id}/delete" not in client.get(f"/jobs/{job_id}").text
    tag(job_id)
    page = client.get(f"/jobs/{job_id}").text
    assert re.search(rf'action="/jobs/{job_id}/delete" data-confirm="[^"]+cannot be undone', page)
    gone = client.post(f"/jobs/{job_id}/delete")
    assert (gone.status_code, gone.headers["Location"]) == (303, "/jobs")
    assert client.get(f"/jobs/{job_id}").status_code == 404
    assert client.post(f"/jobs/{job_id}/delete").status_code == 404


def test_a_job_that_may_go_on_is_not_deleted(client, job_id):
    response = client.post(f"/jobs/{job_id}/delete")
    assert response.status_code == 409
    assert "Cancel it first" in response.text
    assert client.get(f"/jobs/{job_id}").status_code == 200


def test_cancelling_asks_first(client, job_id):
    page = client.get(f"/jobs/{job_id}").text
    assert re.search(rf'action="/jobs/{job_id}/cancel" data-confirm="', page)


def test_at_the_end_the_charts_are_of_every_row(client, job_id, tag):
    tag(job_id)
    page = _text(client.get(f"/jobs/{job_id}"))
    assert "Of the first" not in page
    assert '0.70 – 0.75</th><td class="number">3</td>' in page


def _labels(count: int) -> str:
    return ",".join(f"l{number}" for number in range(count))


def test_of_very_many_labels_the_most_frequent_are_shown(client, upload, tag, work):
    job_id = upload("text\n" + "a\n" * 130, labels=_labels(130)).json["id"]
    tag(job_id)
    work.execute("UPDATE result SET label = row_no - 1, scores = array_fill(CAST(0.1 AS real), ARRAY[130])")
    work.execute("UPDATE job SET state = 'running', summary = NULL")
    page = _text(client.get(f"/jobs/{job_id}"))
    assert "30 rarer labels are not shown" in page
    assert "labels have no row" not in page


@pytest.mark.parametrize(("labels", "hidden"), [(20, 0), (1_000, 999)])
def test_of_many_labels_those_without_rows_are_counted_and_not_listed(client, upload, tag, work, labels, hidden):
    job_id = upload("text\na\n", labels=_labels(labels)).json["id"]
    tag(job_id)
    work.execute("UPDATE result SET scores = array_fill(CAST(0.1 AS real), ARRAY[CAST(:n AS int)])", n=labels)
    page = _text(client.get(f"/jobs/{job_id}"))
    assert page.count('<th scope="row">l') == labels - hidden
    assert ("999 labels have no row." in page) == bool(hidden)
    assert f"<dt>Labels</dt><dd>{labels:,}" in page


def test_the_page_of_a_paused_job_goes_on_asking(client, job_id):
    assert client.post(f"/jobs/{job_id}/pause").status_code == 303
    page = client.get(f"/jobs/{job_id}").text
    assert f'hx-get="/jobs/{job_id}/live"' in page
    assert 'content="15; url=' in page
    live = client.get(f"/jobs/{job_id}/live")
    assert live.headers["X-Job-State"] == "paused"
    assert "X-Job-Still" not in live.headers
    assert 'data-step="paused ' in live.text


def test_the_page_of_a_job_that_is_deleted_meanwhile_hears_of_it(client, job_id):
    page = _text(client.get(f"/jobs/{job_id}"))
    assert re.search(r'<p id="gone"[^>]* hidden>This job has been deleted. <a href="/jobs">', page)
    assert client.post(f"/jobs/{job_id}/cancel").status_code == 303
    assert client.post(f"/jobs/{job_id}/delete").status_code == 303
    for part in ("live", "findings"):
        answer = client.get(f"/jobs/{job_id}/{part}", headers={"HX-Request": "true"})
        assert (answer.status_code, answer.headers["X-Problem"]) == (404, "not_found")
        assert "<html" not in answer.text
