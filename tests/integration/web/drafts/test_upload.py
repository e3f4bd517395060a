"""A file is uploaded once, looked at, tried, and becomes a job; what goes wrong stands beside what was entered."""

from __future__ import annotations

import html
import io
import re
import threading
import time
import uuid
from datetime import datetime, timedelta

import pytest
from openpyxl import Workbook
from sqlalchemy import text

from tests.fixtures.page_checker import checked_page, form_fields
from tests.fixtures.waiting import wait_until
from web.drafts import view
from web.label_sets.input import SEPARATORS, labels_of_form
from yeban.accounts.viewer import Viewer
from yeban.chunks.workers import WorkerInfo, beat
from yeban.errors import msg
from yeban.messaging.queues import TextReply

CSV = "id,text,label\n1,包裹三天没动了,物流\n2,退款一直没到账,退款\n3,,退款\n4,怎么开发票,发票\n"
SCRIPT = {"HX-Request": "true"}


def _page(response, status: int = 200) -> str:
    return html.unescape(checked_page(response, status))


def _send(client, content: str | bytes = CSV, name: str = "tickets.csv", **headers: str):
    data = content.encode() if isinstance(content, str) else content
    return client.post(
        "/upload", data={"file": (io.BytesIO(data), name)}, content_type="multipart/form-data", headers=headers
    )


@pytest.fixture
def draft(client):
    """Upload a file; gives the address of its page."""

    def make(content: str | bytes = CSV, name: str = "tickets.csv") -> str:
        response = _send(client, content, name)
        assert response.status_code == 303, response.text
        place = response.headers["Location"]
        assert re.fullmatch(r"/upload/[0-9a-f-]{36}", place)
        return place

    return make


@pytest.fixture
def filled(client):
    """The form of a draft as its page has it, with some fields filled in."""

    def fill(place: str, **fields: str) -> dict[str, str]:
        return {**form_fields(client.get(place).text, "draft"), "labels": "物流,退款,发票", **fields}

    return fill


def _job(client, response) -> dict:
    assert response.status_code == 303, html.unescape(response.text)
    found = client.get("/api/v1" + response.headers["Location"])
    assert found.status_code == 200
    return found.json


def _drafts(database) -> tuple[int, int]:
    with database.begin() as connection:
        return tuple(connection.execute(text("SELECT (SELECT count(*) FROM draft), count(*) FROM draft_part")).one())


def _workbook(**sheets: list[list[str]]) -> bytes:
    book = Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    saved = io.BytesIO()
    book.save(saved)
    return saved.getvalue()


def test_a_file_is_uploaded_looked_at_and_becomes_a_job(client, draft, filled, database):
    place = draft()
    page = _page(client.get(place))
    for shown in (
        "tickets.csv",
        "automatic: CSV",
        "automatic: UTF-8",
        "automatic: comma",
        "包裹三天没动了",
        "empty text",
    ):
        assert shown in page
    form = filled(place, gold_column="#3")
    assert (form["text_column"], form["id_column"], form["rows"], form["start"]) == ("#2", "#1", "4", "now")
    job = _job(client, client.post(place, data=form))
    assert (job["state"], job["progress"]["rows"]) == ("queued", 4)
    assert (job["text_column"], job["gold_column"]) == ("text", "label")
    assert job["source"]["name"] == "tickets.csv"
    assert [label["name"] for label in job["labels"]] == ["物流", "退款", "发票"]
    assert _drafts(database) == (0, 0)


def test_a_job_of_a_draft_is_the_job_of_an_upload(client, draft, filled, upload, database):
    """Both ways read alike, so that the same rows are stored."""
    content = "编号;内容\n1;甲\n\n2;乙;多\n3\n".encode("gb18030")
    first = upload(content, name="a.csv").json["id"]
    place = draft(content, "a.csv")
    second = _job(client, client.post(place, data=filled(place)))["id"]
    with database.begin() as connection:
        rows = [
            connection.execute(
                text(
                    'SELECT row_no, file_row, text, gold, cells, problem FROM "row" JOIN job ON job.id = job_id'
                    " WHERE public_id = :id ORDER BY row_no"
                ),
                {"id": job},
            ).all()
            for job in (first, second)
        ]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 4


def test_the_script_is_sent_on_to_the_page(client):
    response = _send(client, **SCRIPT)
    assert response.status_code == 201
    assert response.headers["HX-Redirect"].startswith("/upload/")
    assert client.get(response.headers["HX-Redirect"]).status_code == 200


def test_pressing_twice_makes_one_job(client, draft, filled):
    place = draft()
    form = filled(place)
    first, again = (_job(client, client.post(place, data=form)) for _ in range(2))
    assert first["id"] == again["id"]
    assert len(client.get("/api/v1/jobs").json["jobs"]) == 1


def test_pressing_twice_at_the_same_time_makes_one_job(app, client, draft, filled):
    place = draft("text\n" + "\n".join(f"row {number}" for number in range(20_000)))
    form = filled(place)
    ready, places = threading.Barrier(4), []

    def press() -> None:
        # Each with the session that the page was loaded in.
        one = app.test_client()
        one.get("/")
        ready.wait()
        places.append(one.post(place, data=form).headers.get("Location"))

    threads = [threading.Thread(target=press) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(places) == 4
    assert len(set(places)) == 1
    assert places[0].startswith("/jobs/")


def test_going_back_and_changing_something_says_that_the_file_is_gone(client, draft, filled):
    place = draft()
    form = filled(place)
    client.post(place, data=form)
    page = _page(client.post(place, data={**form, "threshold": "0.4"}), 404)
    assert "Upload the file again" in page


@pytest.mark.parametrize(
    ("content", "problem", "override", "found"),
    [
        ("id,text\n1,甲\n".encode("utf-16-le"), "utf-16-le", {"encoding": "utf-16-le"}, "甲"),
        ("id,text\n1,訊號\n".encode("big5") + b"\n2,\xff\n", "is not valid", {"encoding": "latin-1"}, "ÿ"),
        ('id,text\n1,"offen\n2,x\n', "Row 2", {"delimiter": "none"}, None),
        ("PK\x03\x04 no zip", "damaged", {"format": "csv"}, None),
    ],
)
def test_a_file_that_cannot_be_read_says_why_and_can_be_read_otherwise(
    client, draft, content, problem, override, found
):
    place = draft(content)
    page = _page(client.get(place))
    assert problem in page
    assert "The file is stored" in page
    assert 'id="counts"' not in page
    form = {**form_fields(client.get(place).text, "draft"), "labels": "甲,乙", **override}
    page = _page(client.post(f"{place}/preview", data=form))
    assert "甲,乙</textarea>" in page
    if found is not None:
        assert "First rows" in page
        assert found in page


def test_a_changed_reading_is_shown_alone_to_the_script_and_whole_without(client, draft, filled):
    place = draft("text|b\n甲;x|1\n乙;y|2\n")
    form = filled(place)
    assert form["delimiter"] == ""
    part = _page(client.post(f"{place}/preview", data={**form, "delimiter": "semicolon"}, headers=SCRIPT))
    assert "<html" not in part
    assert part.lstrip().startswith('<section id="reading"')
    whole = _page(client.post(f"{place}/preview", data={**form, "delimiter": "semicolon"}))
    for page in (part, whole):
        assert '<option value="semicolon" selected>' in page
        assert "#1 text|b" in page
    assert "物流,退款,发票</textarea>" in whole


def test_columns_that_were_chosen_are_found_anew_when_the_file_is_read_otherwise(client, draft, filled):
    place = draft("a,text\tb,c\n1,2\t3,4\n")
    form = filled(place, text_column="#3", gold_column="#1")
    page = client.post(f"{place}/preview", data={**form, "delimiter": "tab"}).text
    found = form_fields(page, "draft")
    assert (found["text_column"], found["gold_column"]) == ("", "")
    assert "Choose the column with the texts" in page
    chosen = {**found, "text_column": "#1"}
    again = form_fields(client.post(f"{place}/preview", data=chosen).text, "draft")
    assert again["text_column"] == "#1"


def test_columns_of_another_reading_do_not_make_a_job(client, draft, filled):
    place = draft("text,x\tb\n1,2\t3\n")
    form = filled(place, text_column="#2", delimiter="tab")
    page = _page(client.post(place, data=form), 422)
    assert "different columns. Choose the columns again" in page
    assert client.get("/api/v1/jobs").json["jobs"] == []
    for path in ("try", "counts"):
        assert "different columns" in html.unescape(client.post(f"{place}/{path}", data=form, headers=SCRIPT).text)


def test_a_column_that_is_called_like_a_number_is_not_mistaken(client, draft, filled):
    place = draft("#2,text\nwrong,right\n")
    page = _page(client.post(place, data={**filled(place), "text_column": "#2"}), 422)
    assert "Rename that column in the file" in page
    assert client.get("/api/v1/jobs").json["jobs"] == []


def test_one_column_for_two_things_is_told_and_the_page_kept(client, draft, filled):
    place = draft()
    page = _page(client.post(f"{place}/preview", data=filled(place, gold_column="#2")))
    assert "cannot be both" in page
    assert "First rows" in page


def test_no_column_that_is_known_by_name(client, draft, filled):
    place = draft("a,b\nx,y\n")
    page = _page(client.get(place))
    assert "Choose the column with the texts" in page
    assert "choose …" in page
    assert 'id="counts"' not in page
    assert "Choose the text column" in _page(client.post(place, data=filled(place)), 422)
    assert _job(client, client.post(place, data=filled(place, text_column="#2")))["text_column"] == "b"


def test_a_title_above_the_header_is_told(client, draft):
    page = _page(client.get(draft("工单导出\nid,text\n1,a\n2,b\n3,c\n")))
    assert "title above the header" in page


def test_the_sheet_of_a_workbook_can_be_chosen(client, draft, filled):
    place = draft(_workbook(一=[["text"], ["甲"]], 二=[["text"], ["乙"], ["丙"]]), "a.xlsx")
    page = _page(client.get(place))
    assert "automatic: XLSX" in page
    assert "automatic: 一" in page
    assert 'name="encoding"' not in page
    page = _page(client.post(f"{place}/preview", data=filled(place, sheet="二")))
    assert "乙" in page
    assert "甲" not in page
    job = _job(client, client.post(place, data=filled(place, sheet="二")))
    assert job["progress"]["rows"] == 2
    place = draft(_workbook(一=[["text"], ["甲"]], 二=[["text"], ["乙"]]), "a.xlsx")
    page = _page(client.post(f"{place}/preview", data=filled(place, sheet="三")))
    assert "no sheet “三”" in page
    assert '<option value="一">' in page


def test_counts_over_the_whole_file(client, draft, filled):
    long = "长" * 750
    place = draft(f"id,text,label\n1,甲,物流\n2,甲,退款\n3,,物流\n4,{long},\n")
    page = _page(client.get(place))
    for name, value in (("Rows", 4), ("Without a text", 1), ("Repeated texts", 1), ("Long texts", 1)):
        assert f"<dt>{name}</dt><dd>{value}</dd>" in page
    assert "more than about 512 tokens" in page
    assert "the longest text has 750 characters" in page
    part = _page(client.post(f"{place}/counts", data=filled(place, gold_column="#3"), headers=SCRIPT))
    assert "<html" not in part
    assert "<dt>Gold labels</dt><dd>2</dd>" in part
    assert "<dt>Rows without a gold label</dt><dd>1</dd>" in part
    assert 'data-labels="物流, 退款"' in part


def test_right_labels_with_separators_become_labels_as_they_are(client, draft, filled):
    place = draft("text,label\n1,物流、退款\n2,发票\n")
    part = _page(client.post(f"{place}/counts", data=filled(place, gold_column="#2"), headers=SCRIPT))
    found = re.search(r'data-labels="(.*?)">', part)[1]
    assert [label.name if hasattr(label, "name") else label for label in labels_of_form([found])] == [
        "物流、退款",
        "发票",
    ]
    assert f'data-separators="{SEPARATORS}"' in _page(client.get(place))


def test_what_workers_read_of_a_text_is_what_long_means(client, draft, database):
    told = {"name": "e5-small", "max_tokens": 100}
    worker = WorkerInfo(id=uuid.uuid4(), role="bulk", host="h", pid=1, models=[told], window=1)
    beat(database, worker)
    assert "more than about 100 tokens" in _page(client.get(draft("text\n" + "长" * 150 + "\n")))
    english = "Where is my parcel? " * 15  # 300 characters, and about as many tokens as words and signs
    assert "<dt>Long texts</dt><dd>0</dd>" in _page(client.get(draft(f"text\n{english}\n")))


def test_a_large_file_is_counted_after_its_page(client, draft, filled, monkeypatch):
    monkeypatch.setattr(view, "_COUNTED_AT_ONCE_BYTES", 10)
    place = draft()
    page = _page(client.get(place))
    assert 'hx-trigger="load, again"' in page
    assert "<dt>Rows</dt>" not in page
    form = filled(place)
    assert "rows" not in form
    assert "<dt>Rows</dt><dd>4</dd>" in _page(client.post(f"{place}/counts", data=form, headers=SCRIPT))
    assert "<dt>Rows</dt><dd>4</dd>" in _page(client.post(f"{place}/counts", data=form))


def test_a_row_that_spoils_the_file_is_told_with_the_counts(client, draft):
    page = _page(client.get(draft("text\n" + "x\n" * 3_000 + '"open\n')))
    assert "Row 3002" in page
    assert "First rows" in page


def test_the_first_rows_are_tried(client, draft, filled, start_worker):
    worker = start_worker()
    place = draft(
        "id,text,label\n" + "A7,,物流\n" + "".join(f"T{n},文{n},{'物流' if n % 4 else '退款'}\n" for n in range(30))
    )
    form = filled(place, gold_column="#3")
    part = _page(client.post(f"{place}/try", data=form, headers=SCRIPT))
    assert "<html" not in part
    assert "15 of 20 rows match" in part
    assert sorted(request.text for request in worker.seen) == sorted(f"文{n}" for n in range(20))
    assert part.count('<span class="tag">物流</span>') == 20
    assert "A7" not in part
    assert re.search(r'class="number">3<span class="rowid">T0</span>', part)
    assert "50.0%" in part
    whole = _page(client.post(f"{place}/try", data=filled(place)))
    assert "物流,退款,发票</textarea>" in whole
    assert whole.count('class="rowid"') == 20
    assert "rows agree" not in whole


@pytest.mark.parametrize(("chars", "tried"), [(1_999, 20), (4_000, 10), (20_001, 1), (40_000, 1)])
def test_of_long_label_sets_fewer_rows_are_tried(client, draft, filled, start_worker, chars, tried):
    worker = start_worker(lambda request: TextReply(scores=[0.5] * len(request.label_set["labels"]), model="e5-small"))
    place = draft("text\n" + "".join(f"文{number}\n" for number in range(25)))
    names = [f"{number:05}".ljust(200, "x") for number in range(chars // 200)]
    names.append("y" * (chars % 200) or "")
    labels = ",".join(filter(None, names))
    part = _page(client.post(f"{place}/try", data=filled(place, labels=labels), headers=SCRIPT))
    assert len(worker.seen) == tried
    assert ("With so many labels" in part) == (tried < 20)
    if tried == 10:
        assert "only the first 10 rows were tagged" in part


def test_an_answer_with_many_labels_is_waited_for_longer(make_app, start_worker):
    deadline_s = 3  # and six times as long with many labels
    client = make_app(interactive_deadline_ms=1000 * deadline_s).test_client()

    def answer_late(request):
        wait_until(lambda: time.time() > request.sent_at + 1.5 * deadline_s, what="the deadline of few labels")
        return TextReply(scores=[0.5] * 20, model="e5-small")

    slow = start_worker(answer_late)
    place = _send(client, "text\na\n").headers["Location"]
    labels = ",".join(f"{number:05}".ljust(200, "x") for number in range(20))
    form = {**form_fields(client.get(place).text, "draft"), "labels": labels}
    part = _page(client.post(f"{place}/try", data=form, headers=SCRIPT))
    assert part.count("<tr>") == 2
    assert len(slow.seen) == 1


def test_labels_that_not_even_one_row_is_tried_with_are_told(client, draft, filled, start_worker):
    worker = start_worker()
    place = draft()
    labels = ",".join(f"{number:05}".ljust(200, "x") for number in range(201))
    part = _page(client.post(f"{place}/try", data=filled(place, labels=labels), headers=SCRIPT), 413)
    assert "a sample run accepts up to 40000. The job itself accepts them." in part
    assert not worker.seen


def test_several_right_labels_agree_in_any_order(client, draft, filled, start_worker):
    start_worker(lambda _: TextReply(scores=[0.9, 0.8, 0.1], model="e5-small"))
    place = draft("text,gold\na,退款|物流\nb,物流\n")
    form = filled(place, gold_column="#2", multi_label="on", labels="物流,退款,发票")
    assert "1 of 2 rows match" in _page(client.post(f"{place}/try", data=form, headers=SCRIPT))


def test_what_goes_wrong_with_one_row_stands_beside_it(client, draft, filled, start_worker):
    def answer(request):
        if request.text == "bad":
            return TextReply(error_code="engine_failed", error_message=msg("It is too hot.").to_json())
        return TextReply(scores=[0.9, 0.1, 0.0], model="e5-small", truncated=request.text == "long")

    start_worker(answer)
    place = draft("text\ngood\nbad\nlong\n" + "x" * 1500 + "\n")
    part = _page(client.post(f"{place}/try", data=filled(place), headers=SCRIPT))
    assert "It is too hot." in part
    assert "One row got no answer" in part
    assert part.count('<span class="tag">物流</span>') == 3
    assert part.count("(truncated)") == 2, "the model said so of one, and the other is longer than any reads"
    assert "x" * 100 in part


def test_what_the_script_is_refused_leaves_the_form_as_it_is(client, draft, filled):
    place = draft()
    form = filled(place)
    badly = client.post(f"{place}/try", data={**form, "labels": ""}, headers=SCRIPT)
    assert (badly.status_code, badly.headers["X-Problem"]) == (422, "invalid_labels")
    assert "HX-Retarget" not in badly.headers  # beside the button
    client.post(f"{place}/discard", data=form)
    for step in ("preview", "counts", "estimate", "try"):
        gone = client.post(f"{place}/{step}", data=form, headers=SCRIPT)
        assert (gone.status_code, gone.headers["X-Problem"]) == (404, "not_found")
        assert (gone.headers["HX-Retarget"], gone.headers["HX-Reswap"]) == ("#refusal", "innerHTML")
        assert "<html" not in gone.text
        assert "<html" in client.post(f"{place}/{step}", data=form).text


def test_the_page_of_a_draft_loads_the_script_of_the_labels_once(client, draft):
    head, _, body = client.get(draft()).text.partition("</head>")
    assert (head.count("js/labels.js"), head.count("css/labels.css")) == (1, 1)
    assert "labels.js" not in body


def test_without_a_worker_trying_ends_soon_and_says_so(make_app, filled):
    client = make_app(interactive_deadline_ms=100).test_client()
    place = _send(client, "text\n" + "a\n" * 25).headers["Location"]
    form = {**form_fields(client.get(place).text, "draft"), "labels": "甲,乙"}
    part = _page(client.post(f"{place}/try", data=form, headers=SCRIPT), 504)
    assert "no interactive worker is running" in part
    assert "<html" not in part
    whole = _page(client.post(f"{place}/try", data=form), 504)
    assert "甲,乙</textarea>" in whole
    assert "no interactive worker is running" in whole


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"labels": ""}, "at least one label"),
        ({"labels": "a,a"}, "appears twice"),
        ({"template": "none"}, "exactly once"),
        ({"threshold": "2"}, "between 0 and 1"),
        ({"threshold": "much"}, "threshold"),
        ({"model": "none"}, "No worker serves"),
        ({"colour": "red"}, "no such field"),
        ({"text_column": "#9"}, "no column “#9”"),
        ({"start": "at"}, "date and time"),
        ({"start": "at", "start_at": "soon"}, "start_at"),
        ({"start": "at", "start_at": "2999-01-02T00:00", "expires_at": "2999-01-01T00:00"}, "after the start time"),
        ({"start": "at", "start_at": "2001-01-01T00:00"}, "The start time is in the past"),
        ({"start": "later"}, "start"),
        ({"start": "tonight", "tonight_at": "25:00"}, "tonight_at"),
        ({"expires_at": "2001-01-01T00:00"}, "in the future"),
        ({"refine": "true", "multi_label": "on"}, "Refinement"),
        ({"encoding": "klingon"}, "is unknown"),
        ({"delimiter": "abc"}, "one character"),
        ({"format": "docx"}, "format"),
        ({"sheet": "Sheet1"}, "Only an XLSX"),
    ],
)
def test_a_refused_form_keeps_what_was_entered(client, draft, filled, database, fields, problem):
    place = draft()
    form = {**filled(place), "template": "这是{}", **fields}
    page = _page(client.post(place, data=form), 422)
    assert problem in page
    if "template" not in fields:
        assert 'value="这是{}"' in page
    if "labels" not in fields:
        assert "物流,退款,发票</textarea>" in page
    assert _drafts(database) == (1, 1)


def test_blank_everything(client, draft):
    place = draft()
    assert "at least one label" in _page(client.post(place), 422)
    assert "at least one label" in _page(client.post(f"{place}/try"), 422)
    for part in ("preview", "counts"):
        assert "First rows" in _page(client.post(f"{place}/{part}"))
    assert 'id="estimate"' in client.post(f"{place}/estimate").text


@pytest.mark.parametrize(
    ("fields", "start"),
    [
        ({"start": "now", "start_at": "2999-01-01T00:00"}, None),
        ({"start": "at", "start_at": "2999-01-01T00:00"}, datetime(2999, 1, 1).astimezone()),
    ],
)
def test_it_begins_now_or_at_a_time_of_the_servers(client, draft, filled, fields, start):
    place = draft()
    job = _job(client, client.post(place, data=filled(place, **fields)))
    assert job["state"] == ("queued" if start is None else "scheduled")
    assert (job["start_at"] and datetime.fromisoformat(job["start_at"])) == start


def test_tonight_is_the_next_time_the_clock_shows_it(client, draft, filled):
    place = draft()
    at = datetime.now().astimezone() + timedelta(hours=12)  # far from now, so that it cannot pass meanwhile
    form = filled(place, start="tonight", tonight_at=f"{at:%H}:30", expires_at="2999-01-01T00:00")
    job = _job(client, client.post(place, data=form))
    begins = datetime.fromisoformat(job["start_at"]).astimezone()
    assert (begins.hour, begins.minute) == (at.hour, 30)
    assert 0 < (begins - datetime.now().astimezone()).total_seconds() <= 25 * 3600
    assert job["expires_at"] is not None


def test_the_time_it_takes_is_told_from_jobs_like_it(client, draft, filled, upload, tag, database):
    place = draft()
    assert "No estimate yet" in client.post(f"{place}/estimate", data=filled(place)).text
    job_id = upload("text\n" + "a\n" * 400).json["id"]
    tag(job_id)
    with database.begin() as connection:
        connection.execute(
            text("UPDATE job SET running_at = ended_at - interval '4 s', queued_at = ended_at - interval '9 s'")
        )
    page = _page(client.post(f"{place}/counts", data=filled(place)))
    assert "Estimated" in page
    assert "Measured on one job" in page
    part = _page(client.post(f"{place}/counts", data=filled(place), headers=SCRIPT))
    assert 'hx-swap-oob="true"' in part
    assert "Add labels to see an" in client.post(f"{place}/estimate", data={"rows": "5"}).text
    assert 'id="estimate"' in client.post(f"{place}/estimate", data={"rows": "9" * 30, "labels": "a,b"}).text


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York"])
def test_each_time_has_its_zone_beside_it(client, draft, filled, monkeypatch, zone):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    place = draft()
    page = _page(client.get(place))
    told = f"UTC{datetime.now().astimezone().isoformat()[-6:]}, {zone}"
    assert page.count(f'<span class="hint">{told}</span>') == 3
    assert f"Times are in the server's time zone, {told}." in page
    job = client.post(place, data=filled(place, start="at", start_at="2999-01-01T22:00")).headers["Location"]
    assert f"Times are in the server's time zone, {told}." in html.unescape(client.get(job).text)
    monkeypatch.undo()
    time.tzset()


def test_a_file_that_was_handed_in_before_is_told(client, draft, upload):
    place = draft()
    assert "already submitted this file" not in client.get(place).text
    job_id = upload(CSV, name="gestern.csv").json["id"]
    page = _page(client.get(place))
    assert "already submitted this file" in page
    assert f"/jobs/{job_id}" in page
    assert "gestern.csv" in page
    assert draft() != place


def test_discarding_deletes_the_file(client, draft, database):
    place = draft()
    response = client.post(f"{place}/discard")
    assert (response.status_code, response.headers["Location"]) == (303, "/upload")
    assert _drafts(database) == (0, 0)
    assert client.post(f"{place}/discard").status_code == 303
    _page(client.get(place), 404)


@pytest.mark.parametrize("end", ["", "/preview", "/counts", "/try", "/estimate"])
def test_a_draft_that_is_not_there_is_a_page_that_says_what_to_do(client, draft, filled, database, end):
    place = draft()
    form = filled(place)
    with database.begin() as connection:
        connection.execute(text("UPDATE draft SET created_at = now() - interval '25 hours'"))
    for gone in (place, f"/upload/{uuid.uuid4()}"):
        assert "Upload the file again" in _page(client.post(f"{gone}{end}", data=form), 404)
    assert "Upload the file again" in _page(client.get(place), 404)


def test_a_draft_of_someone_else_is_not_there(client, draft, filled, monkeypatch, database):
    place = draft()
    form = filled(place)
    with database.begin() as connection:
        connection.execute(text("UPDATE draft SET owner = 'anne', team = 'night'"))
    for other in (Viewer(name="carl"), Viewer(name="carl", team="day")):
        monkeypatch.setattr("web.auth.authentication.UNRESTRICTED", other)
        _page(client.get(place), 404)
        for end in ("", "/preview", "/counts", "/try", "/estimate"):
            _page(client.post(f"{place}{end}", data=form), 404)
        assert client.post(f"{place}/discard").status_code == 303
        assert _drafts(database) == (1, 1), "it is not theirs to discard"
    monkeypatch.setattr("web.auth.authentication.UNRESTRICTED", Viewer(name="bert", team="night"))
    assert client.get(place).status_code == 200
    assert client.post(place, data=form).status_code == 303
    with database.begin() as connection:
        assert connection.execute(text("SELECT owner, team FROM job")).one() == ("bert", "night")


def test_a_form_of_another_session_is_refused(client, draft, filled):
    place = draft()
    form = filled(place)
    for end in ("", "/preview", "/counts", "/try", "/estimate", "/discard"):
        assert client.post(f"{place}{end}", data=form, headers={"X-CSRF-Token": "no"}).status_code == 403
    assert client.get(place).status_code == 200


def test_a_thousand_columns(client, draft, filled):
    names = [f"列{number}" for number in range(999)] + ["text"]
    place = draft(",".join(names) + "\n" + ",".join(["x"] * 1000) + "\n")
    page = _page(client.get(place))
    assert "987 more columns are not shown" in page
    form = filled(place, gold_column="#500")
    assert form["text_column"] == "#1000"
    page = _page(client.post(f"{place}/preview", data=form))
    assert "986 more columns are not shown" in page
    assert _job(client, client.post(place, data=form))["gold_column"] == "列499"


def test_a_thousand_labels_of_full_length(client, draft, filled):
    place = draft()
    labels = "\n".join(f"{number:0>4}" + "标" * 196 for number in range(1000))
    job = _job(client, client.post(place, data=filled(place, labels=labels)))
    assert len(job["labels"]) == 1000
    _page(client.post(f"{draft()}/preview", data={"labels": "x" * 5_000_000}), 413)


def test_names_and_cells_are_shown_as_text(client, draft, filled, start_worker):
    evil = "<img src=x onerror=alert(1)>"
    start_worker()
    place = draft(f'id,text,label\n{evil},{evil},"{evil}"\n', f"{evil}.csv")
    form = filled(place, gold_column="#3", labels=f"{evil},b", sheet="")
    for page in (
        client.get(place),
        client.post(f"{place}/preview", data=form),
        client.post(f"{place}/counts", data=form, headers=SCRIPT),
        client.post(f"{place}/try", data=form),
    ):
        _page(page)
        assert "<img src=x" not in page.text
        assert "&lt;img src=x" in page.text


def test_pages_without_a_database(make_app):
    client = make_app(database_url="postgresql://127.0.0.1:1/none").test_client()
    page = _page(_send(client), 503)
    assert "choose the file again" in page
    _page(client.get(f"/upload/{uuid.uuid4()}"), 503)


def test_only_so_many_files_are_read_at_a_time(make_app, filled):
    client = make_app(upload_limit=1).test_client()
    place = _send(client).headers["Location"]
    form = {**form_fields(client.get(place).text, "draft"), "labels": "甲,乙", "gold_column": "#3"}
    with client.application.extensions["yeban"].uploads.admit():
        response = _send(client)
        assert "choose the file again" in _page(response, 429)
        assert response.headers["Retry-After"]
        page = _page(client.post(place, data=form), 429)
        assert "甲,乙</textarea>" in page
        kept = form_fields(page, "draft")
        assert {name: kept[name] for name in ("text_column", "gold_column", "columns")} == {
            name: form[name] for name in ("text_column", "gold_column", "columns")
        }
        assert "in progress" in _page(client.post(f"{place}/counts", data=form, headers=SCRIPT))
    assert client.post(place, data=form).status_code == 303


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        ({}, "no file"),
        ({"file": (io.BytesIO(b""), "")}, "no file"),
        ({"file": (io.BytesIO(b""), "a.csv")}, "empty"),
        ({"file": "text\nx"}, "no file"),
    ],
)
def test_an_upload_without_a_file_is_told_on_the_page(client, form, problem):
    page = _page(client.post("/upload", data=form, content_type="multipart/form-data"), 422)
    assert problem in page
    assert "choose the file again" in page


def test_two_files_are_one_too_many(client):
    files = [(io.BytesIO(b"text\nx"), "a.csv"), (io.BytesIO(b"text\nx"), "b.csv")]
    page = _page(client.post("/upload", data={"file": files}, content_type="multipart/form-data"), 422)
    assert "2 files" in page


def test_an_upload_over_the_limit_is_told_on_the_page(client):
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    body = part + b"x" * 6_000_000 + b"\r\n--x--\r\n"
    page = _page(client.post("/upload", data=body, content_type="multipart/form-data; boundary=x"), 413)
    assert "larger than 1 MiB" in page


def test_no_ticket_is_in_the_log(client, draft, filled, start_worker, caplog):
    start_worker(lambda _: TextReply(error_code="engine_failed", error_message=msg("No.").to_json()))
    caplog.set_level("DEBUG")
    place = draft("text\n秘密的工单内容\n")
    for end in ("/preview", "/counts", "/try", ""):
        client.post(f"{place}{end}", data=filled(place))
    assert "秘密的工单内容" not in caplog.text


@pytest.fixture
def saved(client):
    """A label set that was saved, with something to say of a label."""
    body = {
        "name": "夜间",
        "labels": [{"name": "物流", "description": "包裹与快递"}, "退款"],
        "template": "这是{}工单",
        "threshold": 0.2,
    }
    response = client.post("/api/v1/label-sets", json=body)
    assert response.status_code == 201, response.text
    return response.json["id"]


def test_a_link_with_a_label_set_fills_the_form_in_once_the_file_is_there(client, saved):
    page = _page(client.get(f"/upload?label_set={saved}&version=1"))
    assert f'action="/upload?label_set={saved}&version=1"' in page
    response = client.post(
        f"/upload?label_set={saved}&version=1",
        data={"file": (io.BytesIO(CSV.encode()), "tickets.csv")},
        content_type="multipart/form-data",
    )
    fields = form_fields(client.get(response.headers["Location"]).text, "draft")
    assert (fields["labels"].split(), fields["template"], float(fields["threshold"])) == (
        ["物流", "退款"],
        "这是{}工单",
        0.2,
    )
    assert fields["label_set"] == f"{saved}@1"


def test_trying_and_starting_tell_the_model_what_a_saved_set_says(client, draft, filled, start_worker, saved):
    worker = start_worker()
    place = draft()
    form = filled(place, labels="物流,退款", label_set=f"{saved}@1")
    _page(client.post(f"{place}/try", data=form))
    asked = worker.seen[0].label_set["labels"]
    assert [label["description"] for label in asked] == ["包裹与快递", ""]
    job = _job(client, client.post(place, data=form))
    assert [label["description"] for label in job["labels"]] == ["包裹与快递", ""]


def test_a_label_set_that_is_gone_is_told_beside_what_was_entered(client, draft, filled, saved):
    place = draft()
    client.delete(f"/api/v1/label-sets/{saved}")
    page = _page(client.post(place, data=filled(place, labels="", label_set=saved, template="关于{}")), 404)
    assert "it may have been deleted" in page
    assert "关于{}" in page
    assert "it may have been deleted" in _page(client.get(f"{place}?label_set={saved}"), 404)


def test_files_that_wait_are_found_again_until_they_are_started_or_discarded(client, draft, filled):
    started, discarded = draft(name="first.csv"), draft(name="<second>.csv")
    page = _page(client.get("/upload"))
    assert page.index("<second>.csv") < page.index("first.csv")
    assert f'href="{started}"' in page
    _job(client, client.post(started, data=filled(started)))
    assert client.post(f"{discarded}/discard").status_code == 303
    assert "Uploaded, not tagged yet" not in _page(client.get("/upload"))
