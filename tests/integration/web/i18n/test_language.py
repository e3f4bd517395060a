"""Pages in the reader's language; answers for programs in English."""

from __future__ import annotations

import io
import re

import pytest

from yeban.errors import msg

CHINESE = {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        (None, "en"),
        ("zh", "zh-CN"),
        ("zh-TW,zh;q=0.9", "zh-CN"),
        ("de-DE,zh-CN;q=0.7,en;q=0.5", "zh-CN"),
        ("fr", "en"),
        ("en-GB,zh;q=0.9", "en"),
        ("zh-CN,en;q=0.5", "zh-CN"),
        ("zh;q=0", "en"),
        (";;q=,", "en"),
    ],
)
def test_a_page_comes_in_the_language_that_a_browser_asks_for(client, asked, language):
    response = client.get("/", headers={"Accept-Language": asked} if asked else {})

    assert f'<html lang="{language}"' in response.text
    assert response.headers["Content-Language"] == language
    assert {"cookie", "accept-language"} <= {name.strip().lower() for name in response.headers["Vary"].split(",")}


def test_what_a_person_chose_comes_before_what_the_browser_asks_for(client):
    client.set_cookie("language", "zh")
    assert client.get("/", headers={"Accept-Language": "en"}).headers["Content-Language"] == "zh-CN"
    client.set_cookie("language", "../../etc")
    assert client.get("/", headers=CHINESE).headers["Content-Language"] == "zh-CN"
    assert client.get("/").headers["Content-Language"] == "en"


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/static/moon.svg", "/healthz"])
def test_what_is_no_page_has_no_language(client, path):
    with client.get(path, headers=CHINESE) as response:
        assert "Content-Language" not in response.headers
        assert "Accept-Language" not in response.headers.get("Vary", "")


@pytest.mark.parametrize(
    "then",
    ["/jobs", "/jobs?cursor=am9iczo1", "/upload", "/?labels=%E7%89%A9%E6%B5%81&threshold=0.5"],
)
def test_the_page_stays_when_the_language_is_changed(client, then):
    response = client.post("/preferences", data={"language": "zh", "then": then})

    assert (response.status_code, response.headers["Location"]) == (303, then)
    assert client.get(then).headers["Content-Language"] == "zh-CN"


@pytest.mark.parametrize(
    "then",
    [
        "//evil.example/jobs",
        "///evil.example",
        "////jobs",
        "/\\evil.example",
        "https://evil.example/",
        "javascript:alert(1)",
        "/\t/evil.example/jobs",
        "/nothing",
        "/api/v1/jobs",
        "/static/moon.svg",
        "/preferences",
        "jobs",
        "http://[",
    ],
)
def test_nothing_else_is_led_to(client, then):
    response = client.post("/preferences", data={"language": "zh", "then": then})

    assert (response.status_code, response.headers["Location"]) == (303, "/")


@pytest.mark.parametrize(
    ("path", "here"),
    [("/jobs", "/jobs"), ("/jobs?state=ended&cursor=", "/jobs?state=ended&amp;cursor="), ("/nothing", "/nothing")],
)
def test_a_page_knows_where_it_is(client, path, here):
    assert f'name="then" value="{here}"' in client.get(path).text


def test_after_a_form_the_page_it_was_sent_to_is_come_back_to(client):
    page = client.post("/", data={"text": "", "labels": "a"}).text

    assert 'name="then" value="/"' in page


def test_what_was_wrong_is_said_in_chinese(client):
    page = client.post("/", data={"text": "包裹没到", "labels": "物流,物流"}, headers=CHINESE).text

    assert "标签无效" in page
    assert "标签“物流”重复了，请只保留一个。" in page


def test_a_refused_file_is_explained_in_chinese(client):
    form = {"labels": "物流,退款", "file": (io.BytesIO(b"%PDF-1.7"), "tickets.csv")}
    page = client.post("/upload", data=form, content_type="multipart/form-data", headers=CHINESE, follow_redirects=True)

    assert "这是 PDF，不是表格。" in page.text


def test_a_page_that_is_not_there_is_explained_in_chinese(client):
    page = client.get("/nothing", headers=CHINESE)

    assert page.status_code == 404
    assert "服务器上没有这个网址。" in page.text
    main = re.search(r"<main.*</main>", page.text, re.DOTALL)
    assert main is not None
    assert re.findall(r"[A-Za-z]{2,}", re.sub(r"<[^>]*>", "", main[0])) == []


def test_a_program_is_answered_in_english_whatever_it_asks_for(client):
    answer = client.post("/api/v1/classify", json={"text": "x", "labels": "a,a"}, headers=CHINESE)

    assert answer.json["title"] == "The labels are not valid"
    assert answer.json["detail"] == "The label “a” appears twice. Keep one."


def test_figures_and_states_of_a_job_are_chinese(client, tag, job_id):
    tag(job_id)

    page = client.get(f"/jobs/{job_id}", headers=CHINESE).text

    assert "已完成，有错误" in page
    assert "completed" not in re.sub(r"<[^>]*>", "", page)


def test_what_is_wrong_with_rows_is_chinese(client, tag, job_id):
    tag(job_id)

    page = client.get(f"/jobs/{job_id}", headers=CHINESE).text

    errors = page.partition('id="h-errors"')[2].partition("</table>")[0]
    assert "文本为空" in errors
    assert "empty text" not in page


def test_why_a_job_failed_is_chinese(client, job_id, work):
    reason = msg("The engine failed %(attempt)s times: %(reason)s", attempt=3, reason=msg("The file is empty."))
    work.execute("UPDATE job SET state = 'failed', error = :reason", reason=reason.dumps())

    assert "推理引擎失败了 3 次：文件是空的。" in client.get(f"/jobs/{job_id}", headers=CHINESE).text


def test_a_file_of_error_rows_has_the_language_of_the_page(client, upload, tag):
    job_id = upload("text,label\n一,物流\n,退款\n").json["id"]
    tag(job_id)

    for headers, reason in ((CHINESE, "文本为空"), ({}, "empty text")):
        page = client.get(f"/jobs/{job_id}", headers=headers).text
        (link,) = re.findall(r'id="to-errors" href="([^"]+)"', page)
        assert client.get(link).text.splitlines()[1:] == [f"3,{reason},"]


def test_how_a_draft_is_not_read_is_explained_in_chinese(client):
    form = {"file": (io.BytesIO(b"a,text\n1\n"), "t.csv")}
    page = client.post("/upload", data=form, content_type="multipart/form-data", headers=CHINESE, follow_redirects=True)

    assert "有 1 个单元格，而表头有 2 个" in page.text


def test_what_a_script_of_the_review_is_told_is_chinese(client, job_id):
    form = {"then": "one", "shown": "1", "row-1": "0"}
    answer = client.post(f"/jobs/{job_id}/review", data=form, headers=CHINESE)

    assert (answer.status_code, answer.text) == (409, "第 1 行还没有结果，请更正已完成的行。")


def test_sentences_of_chinese_follow_without_a_gap(client):
    page = client.get("/webhooks", headers=CHINESE).text

    assert not re.search(r"[。：] [\u4e00-\u9fff]", page)
    assert re.search(r"\. Each account may have", client.get("/webhooks").text)


def test_a_page_with_a_problem_can_be_given_the_focus_there(client):
    page = client.get("/nothing").text

    assert re.findall(r'<div class="problem"[^>]*>', page) == [
        '<div class="problem" id="problem" role="alert" tabindex="-1">'
    ]
    assert 'id="problem"' not in client.get("/").text
