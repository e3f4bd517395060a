"""Correcting rows on the page."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from web.results import review_pages

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


def _choices(page: str, row: int) -> list[tuple[str, str]]:
    """The choices of a row's inputs: their values and names, in order."""
    part = page.partition(f'id="row-{row}"')[2].partition("</fieldset>")[0]
    values = re.findall(rf'name="row-{row}" value="([^"]*)"', part)
    return list(zip(values, re.findall(r'class="name">([^<]*)', part), strict=True))


def _keys(page: str, row: int) -> dict[str, str]:
    """The key of each label of a row, by the label's number."""
    part = page.partition(f'id="row-{row}"')[2].partition("</fieldset>")[0]
    return dict(re.findall(r'value="(\d+)" data-key="(.)"', part))


def test_rows_are_shown_each_with_the_choice_of_its_label(client, tagged):
    page = _page(client.get(f"/jobs/{tagged()}/review"))
    assert _shown(page) == list(range(1, 11))
    assert "第1行" in page
    assert _choices(page, 1) == [
        ("0", "物流"), ("1", "退款"), ("2", "发票"), ("none", "none of these"), ("", "skip")
    ]  # fmt: skip
    assert 'data-has="0"' in page
    assert re.findall(r'value="([^"]*)"[^>]* checked', page) == [""] * 10  # nothing is decided yet


def test_few_labels_have_the_same_key_in_every_row(client, tagged, work):
    job_id = tagged()
    work.execute("UPDATE result SET label = 2, scores = '{0.1,0.2,0.7}' WHERE row_no = 1")
    page = _page(client.get(f"/jobs/{job_id}/review"))
    assert [value for value, _ in _choices(page, 1)] == [value for value, _ in _choices(page, 2)]
    assert page.count('data-has="2"') == 1


def test_of_many_labels_each_row_shows_the_likeliest_and_every_key_means_one_label(client, upload, tag, work):
    job_id = upload("text\n一\n二\n", labels=",".join(f"标签{number}" for number in range(12))).json["id"]
    tag(job_id)
    scores = [0.01 * number for number in range(12)]
    work.execute("UPDATE result SET label = 11, scores = :scores WHERE row_no = 1", scores=scores)
    work.execute("UPDATE result SET label = 0, scores = :scores WHERE row_no = 2", scores=scores[::-1])
    page = _page(client.get(f"/jobs/{job_id}/review"))
    assert [value for value, _ in _choices(page, 1)][:9] == [str(number) for number in range(11, 2, -1)]
    others = page.partition('name="other-1"')[2].partition("</select>")[0]
    assert re.findall(r'<option value="(\d*)"[^>]*>([^<]*)', others) == [
        ("", "–"), ("0", "标签0"), ("1", "标签1"), ("2", "标签2")
    ]  # fmt: skip
    expected = {str(number): key for number, key in enumerate("123456789abc")}
    assert _keys(page, 1) == _keys(page, 2) == expected
    told = re.findall(r"<dt><kbd>(.)</kbd></dt><dd>标签(\d+)</dd>", page)
    assert {number: key for key, number in told} == expected


def test_keys_of_labels_do_nothing_else_and_end_where_there_are_more_labels(client, upload, tag, work):
    script = (Path(review_pages.__file__).parents[1] / "static/js/review.js").read_text(encoding="utf-8")
    commands = set(re.findall(r'key === "(.)"', script))
    assert commands == set("0nsujk?/")
    assert len(set(review_pages.KEYS)) == len(review_pages.KEYS)
    assert commands.isdisjoint(review_pages.KEYS)
    count = len(review_pages.KEYS) + 3
    job_id = upload("text\n一\n", labels=",".join(f"标签{number}" for number in range(count))).json["id"]
    tag(job_id)
    work.execute("UPDATE result SET scores = :scores", scores=[1 / count] * count)
    page = _page(client.get(f"/jobs/{job_id}/review"))
    assert _keys(page, 1) == {str(number): key for number, key in enumerate(review_pages.KEYS)}
    assert page.count(f">标签{count - 1}<") == 1  # in the list of the row alone


def test_a_label_without_a_key_can_be_chosen(client, upload, tag):
    job_id = upload("text\n一\n", labels=",".join(f"标签{number}" for number in range(12))).json["id"]
    tag(job_id)
    client.post(f"/jobs/{job_id}/review", data={"shown": "1", "row-1": "3", "other-1": "11", "then": "next"})
    (correction,) = client.get(f"/api/v1/jobs/{job_id}/corrections").json["corrections"]
    assert correction["labels"] == ["标签11"]


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
    assert [value for value, _ in _choices(page, 1)] == ["0", "1", "2", "none"]
    assert page.count('type="checkbox"') == 40
    client.post(f"/jobs/{job_id}/review", data=_form([1, 2], row_1=["2", "1"], row_2="none"))
    corrections = client.get(f"/api/v1/jobs/{job_id}/corrections").json["corrections"]
    assert [item["labels"] for item in corrections] == [["发票", "退款"], []]


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        ({"row_1": "3"}, "the job has no such label"),
        ({"row_1": "-1"}, "the job has no such label"),
        ({"row_1": "物流"}, "the job has no such label"),
        ({"row_1": "9" * 5000}, "the job has no such label"),
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


def test_a_row_that_is_sent_by_itself_gets_no_page(client, tagged):
    job_id = tagged()
    answer = client.post(f"/jobs/{job_id}/review", data={"shown": "3", "row-3": "1", "then": "one"})
    assert (answer.status_code, answer.data) == (204, b"")
    refused = client.post(f"/jobs/{job_id}/review", data={"shown": "4", "row-4": "7", "then": "one"})
    assert (refused.status_code, refused.text) == (422, "Row 4: the job has no such label.")
    assert refused.content_type == "text/plain; charset=utf-8"
    corrections = client.get(f"/api/v1/jobs/{job_id}/corrections").json["corrections"]
    assert [(item["row"], item["labels"]) for item in corrections] == [(3, ["退款"])]


def test_saving_the_page_after_its_rows_changes_nothing_more(client, tagged, work):
    job_id = tagged()
    client.post(f"/jobs/{job_id}/review", data={"shown": "2", "row-2": "1", "then": "one", "author": "小王"})
    made_at = work.column("SELECT made_at FROM correction")
    form = _form(list(range(1, 11)), row_2="1") | {"author": "小李"}
    assert client.post(f"/jobs/{job_id}/review", data=form).headers["Location"] == f"/jobs/{job_id}/review?skip=9"
    assert work.column("SELECT made_at FROM correction") == made_at
    assert work.column("SELECT author FROM correction") == ["小王"]


def test_the_name_is_kept_for_the_next_rows(client, tagged, work):
    job_id = tagged()
    client.post(f"/jobs/{job_id}/review", data=_form([1], row_1="1") | {"author": " 小王 "})
    assert re.search(r'name="author" value="小王"', _page(client.get(f"/jobs/{job_id}/review")))
    client.post(f"/jobs/{job_id}/review", data=_form([2], row_2="1"))
    client.post(f"/jobs/{job_id}/review", data=_form([3], row_3="1") | {"author": ""})
    assert work.column("SELECT author FROM correction ORDER BY row_no") == ["小王", "小王", ""]


@pytest.mark.parametrize("name", ["x" * 201, "a\0b"])
def test_a_name_that_cannot_be_kept_is_refused(client, tagged, name):
    job_id = tagged()
    page = _page(client.post(f"/jobs/{job_id}/review", data=_form([1], row_1="1") | {"author": name}), 422)
    assert "at most 200 characters" in page
    assert client.get(f"/api/v1/jobs/{job_id}").json["corrections"] == 0


def test_what_was_corrected_is_shown_with_who_and_what_was_predicted_and_can_be_undone(client, tagged):
    job_id = tagged()
    client.post(f"/jobs/{job_id}/review", data=_form([1, 2], row_1="1", row_2="none") | {"author": "小王"})
    page = _page(client.get(f"/jobs/{job_id}/review?skip=3"))
    table = page.partition('id="corrected"')[2].partition("</table>")[0]
    assert re.findall(r'<span class="tag">([^<]+)</span>', table) == ["物流", "退款", "物流"]
    assert table.count("<td>小王</td>") == 2
    undone = client.post(f"/jobs/{job_id}/review/undo?skip=3", data={"row": "1"})
    assert (undone.status_code, undone.headers["Location"]) == (303, f"/jobs/{job_id}/review?skip=3")
    assert client.post(f"/jobs/{job_id}/review/undo", data={"row": "2", "then": "one"}).status_code == 204
    assert client.get(f"/api/v1/jobs/{job_id}").json["corrections"] == 0


@pytest.mark.parametrize("row", ["31", "0", "abc", ""])
def test_undoing_nonsense_is_refused(client, tagged, row):
    page = _page(client.post(f"/jobs/{tagged()}/review/undo", data={"row": row}), 422)
    assert 'role="alert"' in page


def test_two_people_who_correct_the_same_row_both_see_what_holds(client, app, tagged):
    job_id = tagged()
    other = app.test_client()
    client.post(f"/jobs/{job_id}/review", data=_form([1], row_1="1") | {"author": "小王"})
    other.post(f"/jobs/{job_id}/review", data=_form([1], row_1="2") | {"author": "小李"})
    table = _page(client.get(f"/jobs/{job_id}/review")).partition('id="corrected"')[2]
    assert re.findall(r'<span class="tag">([^<]+)</span>', table) == ["物流", "发票"]
    assert "小李" in table


def test_a_job_without_results_has_nothing_to_review(client, job_id):
    assert "No row is tagged yet" in _page(client.get(f"/jobs/{job_id}/review"))
    assert "to-review" not in client.get(f"/jobs/{job_id}").text


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
        ' "examples": [3, 4], "suggested": [9, 8], "changed_since": null, "corrections": 1, "sample_rows": 30,'
        ' "temper": 0.5, "seconds": 0.4}\' WHERE public_id = :id',
        id=job_id,
    )
    work.execute(
        "INSERT INTO refined (job_id, row_no, status, label, score, margin)"
        " SELECT id, row_no, 'ok', 2, 0.9, 0.8 FROM job, unnest('{3,4}'::int[]) AS row_no"
    )
    page = _page(client.get(f"/jobs/{job_id}"))
    assert "changed 2 of 30 labels" in page
    assert "Learned from 1 corrected row." in page
    surest = page.partition("Most confident changes")[2].partition("</table>")[0]
    assert re.findall(r'<span class="tag">([^<]+)</span>', surest) == ["物流", "发票"] * 2
    assert _shown(_page(client.get(f"/jobs/{job_id}/review"))) == [9, 8]
