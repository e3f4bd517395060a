"""Correcting rows on the page."""

from __future__ import annotations

import html
import re

import pytest

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def tagged(upload, tag):
    """A tagged job of thirty rows, every label the first; later rows are surer of it."""
    content = "text\n" + "".join(f"第{number}行\n" for number in range(1, 31))

    def make(**fields: str) -> str:
        job_id = str(upload(content, **fields).json["id"])
        tag(job_id)
        return job_id

    return make


@pytest.fixture
def embed(work):
    def keep(job_id: str) -> None:
        work.execute(
            "INSERT INTO embedding (job_id, first_row, last_row, encoder, vectors)"
            " SELECT id, 1, row_count, 'e', ''::bytea FROM job WHERE public_id = :id",
            id=job_id,
        )

    return keep


def _page(response, status: int = 200) -> str:
    assert response.status_code == status, response.text
    assert response.content_type == "text/html; charset=utf-8"
    return html.unescape(response.text)


def _shown(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'name="shown" value="(\d+)"', page)]


def _form(shown: list[int], **chosen: str | list[str]) -> dict[str, object]:
    rows = {f"row-{number}": chosen.get(f"row_{number}", "") for number in shown}
    return {"shown": [str(number) for number in shown], "then": chosen.get("then", "next"), **rows}


def test_rows_are_shown_with_their_label_first_among_the_choices(client, tagged):
    page = _page(client.get(f"/jobs/{tagged()}/review"))
    assert _shown(page) == list(range(1, 11))
    assert "第1行" in page
    choices = re.findall(
        r'<option value="([^"]*)">([^<]*)', page.partition('name="row-1"')[2].partition("</select>")[0]
    )
    assert choices == [("", "skip"), ("0", "物流"), ("1", "退款"), ("2", "发票"), ("none", "none of these")]


def test_the_label_that_a_row_has_is_the_first_choice(client, tagged, work):
    job_id = tagged()
    work.execute("UPDATE result SET label = 2, scores = '{0.1,0.2,0.7}' WHERE row_no = 1")
    page = _page(client.get(f"/jobs/{job_id}/review"))
    assert re.findall(r'<option value="(\d)">', page)[:3] == ["2", "0", "1"]


def test_saving_stores_what_was_chosen_and_goes_on_behind_what_was_skipped(client, tagged):
    job_id = tagged()
    response = client.post(f"/jobs/{job_id}/review", data=_form(list(range(1, 11)), row_2="1", row_5="none", row_7="0"))
    assert (response.status_code, response.headers["Location"]) == (303, f"/jobs/{job_id}/review?skip=7")
    corrections = client.get(f"/api/v1/jobs/{job_id}/corrections").json["corrections"]
    assert [(item["row"], item["labels"]) for item in corrections] == [(2, ["退款"]), (5, []), (7, ["物流"])]
    page = _page(client.get(response.headers["Location"]))
    assert _shown(page) == list(range(11, 21))
    assert "3 rows are corrected" in page


def test_at_the_end_the_skipped_rows_can_be_looked_at_again(client, tagged):
    job_id = tagged()
    location, seen = f"/jobs/{job_id}/review", []
    while shown := _shown(page := _page(client.get(location))):
        seen += shown
        location = client.post(location, data=_form(shown)).headers["Location"]
    assert seen == list(range(1, 31))
    assert "No more rows are suggested" in page
    assert f'href="/jobs/{job_id}/review"' in page
    assert _shown(_page(client.get(f"/jobs/{job_id}/review"))) == list(range(1, 11))


def test_saving_and_refining_again_leads_to_the_job(client, tagged, embed):
    job_id = tagged()
    assert "refine again" not in _page(client.get(f"/jobs/{job_id}/review"))
    embed(job_id)
    assert "Save and refine again" in _page(client.get(f"/jobs/{job_id}/review"))
    response = client.post(f"/jobs/{job_id}/review", data=_form([1, 2], row_1="1", then="refine"))
    assert (response.status_code, response.headers["Location"]) == (303, f"/jobs/{job_id}")
    page = _page(client.get(f"/jobs/{job_id}"))
    assert "being refined again" in page
    assert "1 row is corrected" in page
    assert client.get(f"/api/v1/jobs/{job_id}").json["corrections"] == 1


def test_a_job_that_cannot_be_refined_keeps_the_corrections_and_says_so(client, tagged):
    job_id = tagged()
    page = _page(client.post(f"/jobs/{job_id}/review", data=_form([1], row_1="1", then="refine")), 409)
    assert "no embeddings" in page
    assert "1 row is corrected" in page


def test_where_several_labels_may_apply_several_can_be_chosen(client, tagged):
    job_id = tagged(multi_label="true")
    page = _page(client.get(f"/jobs/{job_id}/review"))
    assert 'multiple size="4"' in page
    client.post(f"/jobs/{job_id}/review", data=_form([1, 2], row_1=["2", "1"], row_2="none"))
    corrections = client.get(f"/api/v1/jobs/{job_id}/corrections").json["corrections"]
    assert [item["labels"] for item in corrections] == [["发票", "退款"], []]


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        ({"row_1": "3"}, "no label of this job"),
        ({"row_1": "-1"}, "no label of this job"),
        ({"row_1": "物流"}, "no label of this job"),
        ({"row_1": "9" * 5000}, "no label of this job"),
        ({"row_1": ["0", "1"]}, "2 labels"),
        ({"row_1": ["0", "none"]}, "not both"),
        ({"row_31": "0"}, "no row 31"),
        ({"row_99999999999": "0"}, "no row 99999999999"),
    ],
    ids=range(8),
)
def test_a_form_that_the_page_did_not_make_is_refused_on_the_page(client, tagged, chosen, problem):
    job_id = tagged()
    shown = [int(name.removeprefix("row_")) for name in chosen]
    page = _page(client.post(f"/jobs/{job_id}/review", data=_form(shown, **chosen)), 422)
    assert problem in page
    assert _shown(page) == list(range(1, 11))
    assert client.get(f"/api/v1/jobs/{job_id}").json["corrections"] == 0


@pytest.mark.parametrize("skip", ["-5", "abc", "9" * 5000, ""])
def test_nonsense_in_the_address_does_no_harm(client, tagged, skip):
    client_page = _page(client.get(f"/jobs/{tagged()}/review?skip={skip}"))
    assert _shown(client_page) in ([], list(range(1, 11)))


def test_texts_and_labels_are_shown_as_text(client, upload, tag):
    job_id = upload(f"text\n{EVIL}\n", labels=f"{EVIL},b,c").json["id"]
    tag(job_id)
    page = client.get(f"/jobs/{job_id}/review").text
    assert "<img src=x" not in page
    assert page.count("&lt;img src=x") == 3  # the text, the present label, the choice


def test_a_job_without_results_has_nothing_to_review(client, job_id):
    assert "No row is tagged yet" in _page(client.get(f"/jobs/{job_id}/review"))
    assert "/review" not in client.get(f"/jobs/{job_id}").text


def test_the_jobs_page_leads_to_the_review_and_can_refine_again(client, tagged, embed):
    job_id = tagged()
    embed(job_id)
    page = _page(client.get(f"/jobs/{job_id}"))
    assert f'href="/jobs/{job_id}/review"' in page
    assert "0 rows are corrected" in page
    assert "Refine again" not in page
    client.post(f"/jobs/{job_id}/review", data=_form([1], row_1="1"))
    assert "Refine again" in _page(client.get(f"/jobs/{job_id}"))
    client.post(f"/jobs/{job_id}/review", data={"then": "refine"})
    assert client.get(f"/api/v1/jobs/{job_id}").json["state"] == "finishing"


def test_the_page_tells_what_the_whole_file_changed(client, tagged, embed, work):
    job_id = tagged()
    work.execute(
        'UPDATE job SET refinement = \'{"state": "done", "rows": 30, "changed": 2, "moves": [[0, 2, 2]],'
        ' "examples": [3, 4], "suggested": [9, 8], "corrections": 1, "seconds": 0.4}\' WHERE public_id = :id',
        id=job_id,
    )
    work.execute(
        "INSERT INTO refined (job_id, row_no, status, label, score, margin)"
        " SELECT id, row_no, 'ok', 2, 0.9, 0.8 FROM job, unnest('{3,4}'::int[]) AS row_no"
    )
    page = _page(client.get(f"/jobs/{job_id}"))
    assert "2 of 30 rows have another label" in page
    assert "Learnt with 1 corrected row." in page
    surest = page.partition("The surest of them")[2].partition("</table>")[0]
    assert re.findall(r'<span class="tag">([^<]+)</span>', surest) == ["物流", "发票"] * 2
    assert _shown(_page(client.get(f"/jobs/{job_id}/review"))) == [9, 8]
