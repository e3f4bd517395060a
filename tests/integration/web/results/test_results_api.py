from __future__ import annotations

import csv
import io
import json

import openpyxl
import pytest


def _url(job_id: str, end: str) -> str:
    return f"/api/v1/jobs/{job_id}/{end}"


def _csv(response) -> list[list[str]]:
    assert response.status_code == 200, response.text
    return list(csv.reader(io.StringIO(response.data.decode("utf-8-sig"), newline="")))


def test_rows_come_in_pages_in_the_order_of_the_file(client, job_id, tag):
    tag(job_id)
    first = client.get(_url(job_id, "results?limit=3")).json
    assert [row["row"] for row in first["rows"]] == [1, 2, 3]
    assert first["rows"][0] == {
        "row": 1,
        "file_row": 2,
        "text": "包裹三天没动了",
        "gold": None,
        "cells": ["1", "包裹三天没动了", "物流"],
        "status": "ok",
        "labels": ["物流"],
        "score": pytest.approx(0.7),
        "margin": pytest.approx(0.5),
        "scores": [pytest.approx(0.7), pytest.approx(0.2), pytest.approx(0.1)],
        "row_labels": ["物流"],
        "row_score": pytest.approx(0.7),
        "refined": False,
        "predicted": ["物流"],
        "corrected": False,
        "corrected_by": None,
        "corrected_at": None,
        "error": None,
    }
    last = client.get(_url(job_id, "results"), query_string={"limit": 3, "cursor": first["next_cursor"]}).json
    assert ([row["row"] for row in last["rows"]], last["next_cursor"]) == ([4], None)


def test_rows_can_be_chosen_by_status(client, job_id, tag):
    assert len(client.get(_url(job_id, "results?status=pending")).json["rows"]) == 4
    tag(job_id)
    (row,) = client.get(_url(job_id, "results?status=error")).json["rows"]
    assert (row["file_row"], row["error"], row["labels"]) == (4, "empty text", [])
    assert client.get(_url(job_id, "results?status=abstained")).json["rows"] == []


def test_a_csv_has_the_original_columns_then_the_tags(client, job_id, tag):
    tag(job_id)
    response = client.get(_url(job_id, "results.csv"))
    assert response.data.startswith(b"\xef\xbb\xbf")
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    table = _csv(response)
    tags = ["yeban_label", "yeban_score", "yeban_margin", "yeban_status", "yeban_row_label", "yeban_row_score"]
    assert table[0] == ["id", "text", "label", *tags]
    assert table[1] == ["1", "包裹三天没动了", "物流", "物流", "0.7", "0.5", "ok", "物流", "0.7"]
    assert table[3] == ["3", "", "退款", "", "", "", "error", "", ""]


def test_the_mark_and_the_guard_can_be_left_out(client, upload, tag):
    job_id = upload("text,n\n=1+1,x\n").json["id"]
    guarded = _csv(client.get(_url(job_id, "results.csv")))
    assert guarded[1][0] == "'=1+1"
    plain = client.get(_url(job_id, "results.csv?bom=false&guard=0"))
    assert plain.data.startswith(b"text,n,")
    assert _csv(plain)[1][0] == "=1+1"


def test_a_file_may_be_taken_while_rows_are_pending(client, job_id):
    assert [row[6] for row in _csv(client.get(_url(job_id, "results.csv")))[1:]] == ["pending"] * 4


def test_further_cells_follow_the_tags_in_every_format(client, upload, tag):
    job_id = upload("text,n\na,1,extra,=more\nb\n", delimiter="comma", refine="false").json["id"]
    tag(job_id)
    table = _csv(client.get(_url(job_id, "results.csv?guard=false")))
    assert table[1][:2] == ["a", "1"]
    assert table[1][6:] == ["extra", "=more"]
    sheet = openpyxl.load_workbook(io.BytesIO(client.get(_url(job_id, "results.xlsx")).data)).active
    rows = [list(row) for row in sheet.iter_rows(values_only=True)]
    assert rows[0][:6] == ["text", "n", "yeban_label", "yeban_score", "yeban_margin", "yeban_status"]
    assert rows[1] == ["a", "1", "物流", 0.7, 0.5, "ok", "extra", "=more"]
    assert rows[2][:6] == ["b", None, "物流", 0.7, 0.5, "ok"]
    lines = [json.loads(line) for line in client.get(_url(job_id, "results.jsonl")).data.splitlines()]
    assert lines[0]["extra"] == ["extra", "=more"]


def test_errors_tell_the_row_and_the_reason(client, job_id, tag):
    tag(job_id)
    assert _csv(client.get(_url(job_id, "errors.csv"))) == [["file_row", "reason", "text"], ["4", "empty text", ""]]
    in_chinese = client.get(_url(job_id, "errors.csv"), query_string={"language": "zh"})
    assert _csv(in_chinese) == [["file_row", "reason", "text"], ["4", "文本为空", ""]]


@pytest.mark.parametrize(
    ("name", "plain", "encoded"),
    [
        ("tickets.csv", "tickets-tagged.csv", "tickets-tagged.csv"),
        ("夜班 工单.csv", "-tagged.csv", "%E5%A4%9C%E7%8F%AD%20%E5%B7%A5%E5%8D%95-tagged.csv"),
        ("a;b'c.csv", "a_b_c-tagged.csv", "a%3Bb%27c-tagged.csv"),
        ("../../etc/passwd", "passwd-tagged.csv", "passwd-tagged.csv"),
    ],
)
def test_a_download_is_named_after_its_source(client, upload, name, plain, encoded):
    job_id = upload(name=name).json["id"]
    header = client.get(_url(job_id, "results.csv")).headers["Content-Disposition"]
    plain = f"job{plain}" if plain.startswith("-") else plain
    assert header == f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"


def test_a_long_file_is_streamed_whole(client, upload, tag):
    job_id = upload("text\n" + "".join(f"第{number}行\n" for number in range(5000))).json["id"]
    response = client.get(_url(job_id, "results.csv"))
    assert response.is_streamed
    table = _csv(response)
    assert (len(table), table[1][0], table[-1][0]) == (5001, "第0行", "第4999行")


def test_a_database_that_is_away_is_an_error_and_no_broken_file(make_app, job_id):
    client = make_app(database_url="postgresql://127.0.0.1:1/none").test_client()
    assert client.get(_url(job_id, "results.csv")).status_code == 503
