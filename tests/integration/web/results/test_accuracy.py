"""Accuracy against a gold column: the page, the rows behind it, and the same for programs."""

from __future__ import annotations

import csv
import html
import io
import re

import pytest

from yeban.results.completion import finish_job

CSV = "text,label\n一,物流\n二,退款\n三,退款\n,退款\n五,别的\n六,\n七,物流\n"


@pytest.fixture
def judged(upload, tag, work, database):
    """All rows tagged 物流 with .7, but for the third, 发票 with .4, and the fourth, which has no text."""

    def make(content: str = CSV, **fields: str) -> str:
        job_id = str(upload(content, gold_column="label", **{"refine": "false", **fields}).json["id"])
        tag(job_id)
        work.execute("UPDATE result SET label = 2, score = 0.4, scores = '{0.3,0.3,0.4}' WHERE row_no = 3")
        work.execute("UPDATE job SET state = 'finishing'")
        (internal_id,) = work.column("SELECT id FROM job WHERE public_id = :id", id=job_id)
        assert finish_job(database, internal_id)
        return job_id

    return make


def _text(response, status: int = 200) -> str:
    assert response.status_code == status, response.text
    return re.sub(r"\s+", " ", html.unescape(response.text))


def _table(page: str, after: str) -> list[list[str]]:
    """The rows of the first table behind a mark, as what their cells say."""
    body = page.partition(after)[2].partition("<tbody>")[2].partition("</tbody>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", body)
    return [[re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows]


def test_the_page_has_the_figures(client, judged):
    page = _text(client.get(f"/jobs/{judged()}/accuracy"))
    assert "<dt>Accuracy</dt><dd>33.3%</dd>" in page
    assert "<dt>Rows compared</dt><dd>6</dd>" in page
    assert "<dt>Without a gold label</dt><dd>1</dd>" in page
    assert _table(page, 'id="h-per-label"') == [
        ["退款", "3", "0.0%", "0.0%", "0.0%"],
        ["物流", "2", "50.0%", "100.0%", "66.7%"],
        ["发票", "0", "0.0%", "0.0%", "0.0%"],
    ]
    assert "别的</span> 1 <" in page.replace("</p>", " <")
    assert "more" not in page.partition("别的")[2].partition("</p>")[0]


def test_of_many_right_labels_that_are_none_of_the_jobs_it_says_how_many_more(client, judged):
    job_id = judged("text,label\n" + "".join(f"文{number},g{number}\n" for number in range(1_050)))
    listed = (
        _text(client.get(f"/jobs/{job_id}/accuracy")).partition("that are not in the label set")[2].partition("</p>")[0]
    )
    assert listed.count('class="tag"') == 20
    assert "and 1,030 more" in listed


def test_the_matrix_leads_to_the_rows_of_each_cell(client, judged):
    job_id = judged()
    page = _text(client.get(f"/jobs/{job_id}/accuracy"))
    assert _table(page, 'id="h-confusions"') == [
        ["物流", "2", "", "", ""],
        ["退款", "1", "", "1", "1"],
        ["发票", "", "", "", ""],
        ["not in the set", "1", "", "", ""],
    ]
    links = re.findall(
        rf'href="(/jobs/{job_id}/accuracy/rows\?[^"]+)"', page.partition('class="matrix"')[2].partition("</table>")[0]
    )
    found = [
        [int(number) for number in re.findall(r'<tr><td class="number">(\d+)', client.get(link).text)] for link in links
    ]
    assert found == [[2, 8], [3], [4], [5], [6]]  # as the file numbers them


def test_of_many_labels_the_largest_confusions_are_listed(client, judged):
    labels = ",".join(["物流", "退款", "发票", *(f"标签{number}" for number in range(13))])
    job_id = judged(CSV, labels=labels)
    page = _text(client.get(f"/jobs/{job_id}/accuracy"))
    assert 'class="matrix"' not in page
    assert _table(page, 'id="h-confusions"') == [
        ["退款", "物流", "1", "33.3%"],
        ["退款", "发票", "1", "33.3%"],
        ["退款", "no label", "1", "33.3%"],
        ["not in the set", "物流", "1", "100.0%"],
    ]


def test_the_threshold_that_is_suggested_is_the_lowest_that_is_right_often_enough(client, judged):
    sure = "".join(f"好{number},物流\n" for number in range(30))
    job_id = judged(f"text,label\n一,物流\n二,物流\n三,退款\n{sure}")
    page = _text(client.get(f"/jobs/{job_id}/accuracy"))
    assert "With a threshold of 0.40, 100.0% of the rows are tagged, and 97.0% of those are right" in page
    assert page.count("<polyline") == 2
    assert ["0.40", "100.0%", "97.0%"] in _table(page, 'id="h-thresholds"')
    assert ["0.45", "97.0%", "100.0%"] in _table(page, 'id="h-thresholds"')


def test_where_no_threshold_will_do_that_is_said(client, judged):
    assert "No threshold makes 90.0% of the tagged rows right" in _text(client.get(f"/jobs/{judged()}/accuracy"))


def test_a_refined_job_is_compared_with_its_rows_by_themselves(client, judged, work):
    job_id = judged()
    evaluation = '{"by_row": {"accuracy": 0.2, "macro_f1": 0.5}}'
    work.execute(
        "UPDATE job SET summary = jsonb_set(summary, '{evaluation}', summary -> 'evaluation' || CAST(:more AS jsonb))",
        more=evaluation,
    )
    page = _text(client.get(f"/jobs/{job_id}/accuracy"))
    assert _table(page, 'class="list compared"') == [
        ["Accuracy", "20.0%", "33.3%", "+13.3"], ["Macro-F1", "50.0%", "16.7%", "-33.3"]
    ]  # fmt: skip


def test_where_several_labels_may_apply_the_page_has_what_applies(client, upload, tag):
    job_id = upload(CSV, gold_column="label", multi_label="true").json["id"]
    tag(job_id)
    page = _text(client.get(f"/jobs/{job_id}/accuracy"))
    assert "no confusion matrix" in page
    assert _table(page, 'id="h-per-label"')[0][:2] == ["退款", "3"]
    assert "h-confusions" not in page
    assert "<polyline" not in page
    assert client.get(f"/jobs/{job_id}/accuracy/rows?gold=0&predicted=0").status_code == 422
    assert client.get(f"/api/v1/jobs/{job_id}/confusion.csv").status_code == 409


def test_a_job_without_gold_column_says_how_to_have_accuracy(client, job_id, tag):
    tag(job_id)
    for path in (f"/jobs/{job_id}/accuracy", f"/jobs/{job_id}/accuracy/rows?gold=0&predicted=0"):
        assert "Upload a file with a gold column" in _text(client.get(path))
    assert f"/jobs/{job_id}/accuracy" not in client.get(f"/jobs/{job_id}").text
    answer = client.get(f"/api/v1/jobs/{job_id}/accuracy")
    assert (answer.status_code, answer.json["code"]) == (409, "conflict")


def test_before_the_end_the_page_says_to_wait(client, upload):
    job_id = upload(gold_column="label").json["id"]
    assert "available once every row is tagged" in _text(client.get(f"/jobs/{job_id}/accuracy"))
    client.post(f"/jobs/{job_id}/cancel")
    assert "Resume it" in _text(client.get(f"/jobs/{job_id}/accuracy"))
    answer = client.get(f"/api/v1/jobs/{job_id}/accuracy.csv")
    assert (answer.status_code, answer.json["state"]) == (409, "cancelled")


def test_an_empty_gold_column_is_told(client, judged):
    job_id = judged("text,label\n一,\n二,\n三,\n")
    page = _text(client.get(f"/jobs/{job_id}/accuracy"))
    assert "the gold column is empty" in page


@pytest.mark.parametrize(
    "query",
    [
        "", "gold=0", "predicted=0", "gold=3&predicted=0", "gold=0&predicted=3", "gold=-1&predicted=0",
        "gold=none&predicted=0", "gold=0&predicted=other", "gold=99999999999&predicted=0", "gold=²&predicted=0",
        "gold=0&predicted=0&cursor=abc", "gold=0&predicted=0&cursor=cm93czox", "gold=退款&predicted=0",
    ],
)  # fmt: skip
def test_an_address_that_the_page_did_not_make_is_refused(client, judged, query):
    response = client.get(f"/jobs/{judged()}/accuracy/rows?{query}")
    assert response.status_code == 422
    assert 'role="alert"' in response.text


def test_the_rows_of_a_cell_come_in_pages(client, judged):
    many = "".join(f"第{number},物流\n" for number in range(4, 61))
    job_id = judged(f"text,label\n一,物流\n二,物流\n三,退款\n{many}")
    link, seen = f"/jobs/{job_id}/accuracy/rows?gold=0&predicted=0", []
    while link:
        page = client.get(link).text
        seen.append(len(re.findall(r'<tr><td class="number">', page)))
        more = re.search(r'href="([^"]+)" rel="next"', page)
        link = html.unescape(more[1]) if more else None
    assert seen == [25, 25, 9]


def test_a_cell_whose_rows_were_corrected_says_that_none_is_left(client, judged):
    job_id = judged()
    client.post(f"/jobs/{job_id}/review", data={"shown": "2", "row-2": "1"})
    assert "There are no such rows" in _text(client.get(f"/jobs/{job_id}/accuracy/rows?gold=1&predicted=0"))
    assert "Measured when the job last finished" in _text(client.get(f"/jobs/{job_id}/accuracy"))


def test_programs_get_all_of_it(client, judged):
    job_id = judged()
    evaluation = client.get(f"/api/v1/jobs/{job_id}/accuracy").json
    assert evaluation["accuracy"] == pytest.approx(1 / 3)
    assert evaluation["confusion"] == {
        "cells": [[0, 0, 2], [1, 0, 1], [1, 2, 1], [1, None, 1], [None, 0, 1]], "left_out": 0
    }  # fmt: skip
    assert evaluation["curve"] == [[0.4, 1.0, 0.4], [0.7, 0.8, 0.5]]
    job = client.get(f"/api/v1/jobs/{job_id}").json
    assert set(evaluation) - set(job["summary"]["evaluation"]) == {"confusion", "curve"}
    assert job["links"]["accuracy"] == f"/api/v1/jobs/{job_id}/accuracy"


def test_labels_and_confusions_can_be_taken_as_csv(client, judged):
    job_id = judged()

    def table(path: str) -> list[list[str]]:
        response = client.get(f"/api/v1/jobs/{job_id}/{path}")
        assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
        return list(csv.reader(io.StringIO(response.data.decode("utf-8-sig"))))

    assert table("accuracy.csv") == [
        ["label", "support", "precision", "recall", "f1"],
        ["物流", "2", "0.5", "1.0", "0.666667"],
        ["退款", "3", "0.0", "0.0", "0.0"],
        ["发票", "0", "0.0", "0.0", "0.0"],
    ]
    assert table("confusion.csv") == [
        ["gold", "predicted", "rows"],
        ["物流", "物流", "2"], ["退款", "物流", "1"], ["退款", "发票", "1"], ["退款", "", "1"], ["", "物流", "1"],
    ]  # fmt: skip
    assert client.get(f"/api/v1/jobs/{job_id}/accuracy.csv?guard=perhaps").status_code == 422


def test_texts_and_labels_are_shown_as_text(client, upload, tag):
    evil = "<img src=x onerror=alert(1)>"
    job_id = upload(f"text,label\n{evil},{evil}\nb,{evil}!\n", labels=f"{evil},b,c", gold_column="label").json["id"]
    tag(job_id)
    for path in ("accuracy", "accuracy/rows?gold=0&predicted=0", "accuracy/rows?gold=other&predicted=0"):
        page = client.get(f"/jobs/{job_id}/{path}").text
        assert "<img src=x" not in page
        assert "&lt;img src=x" in page
