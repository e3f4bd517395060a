"""``yeban tag``: one command, from a file to the same file with tags, on servers of its own."""

from __future__ import annotations

import csv
import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, Yeban
from tests.fixtures.waiting import wait_until
from yeban.client import Client
from yeban.tabular.writer import guarded

SAMPLE = ROOT / "samples/tickets.csv"
LABELS = "物流配送,退款退货,软件故障,产品咨询,账号登录,账单支付,优惠活动,发票,服务投诉,表扬感谢"
TAGS = ["yeban_label", "yeban_score", "yeban_margin", "yeban_status", "yeban_row_label", "yeban_row_score"]
LABEL, STATUS = (TAGS.index(name) - len(TAGS) for name in ("yeban_label", "yeban_status"))


def read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def test_the_sample_is_tagged_and_nothing_stays_behind(yeban: Yeban) -> None:
    output = yeban.work_dir / "tagged.csv"

    ended = yeban.run(
        "tag", SAMPLE, "--labels", LABELS, "--text-column", "text", "--gold-column", "label", "-o", output, "--json"
    )

    assert ended.returncode == 0, ended.stderr
    assert "\x1b" not in ended.stderr, "no terminal, no spinner"
    summary = json.loads(ended.stdout)
    header, *rows = read(output)
    before = read(SAMPLE)
    assert output.read_bytes().startswith(b"\xef\xbb\xbf")
    assert header == before[0] + TAGS
    assert [row[: len(before[0])] for row in rows] == [[guarded(cell) for cell in row] for row in before[1:]]
    assert {row[STATUS] for row in rows} == {"ok"}
    assert {name: summary[name] for name in ("state", "rows", "ok", "errors", "output")} == {
        "state": "completed",
        "rows": len(rows),
        "ok": len(rows),
        "errors": 0,
        "output": str(output),
    }
    tags = Counter(row[LABEL] for row in rows)
    assert summary["labels"] == {label: tags[label] for label in summary["labels"]}
    assert set(summary["labels"]) == set(LABELS.split(","))
    right = sum(row[LABEL] == row[header.index("label")] for row in rows)
    assert summary["accuracy"] == pytest.approx(right / len(rows))
    assert summary["accuracy"] > 0.6, "far above one in ten"
    assert summary["accuracy"] > summary["accuracy_by_row"] + 0.05
    assert summary["refinement"]["state"] == "done"
    assert 0 < summary["macro_f1"] < 1
    assert summary["rows_per_s"] == pytest.approx(len(rows) / summary["seconds"], abs=0.1)
    yeban.await_end_of_all()


def test_ctrl_c_cancels_and_keeps_what_is_done(yeban: Yeban) -> None:
    source, output = yeban.work_dir / "many.csv", yeban.work_dir / "many.tagged.csv"
    lines = [f"{number},第 {number} 位顾客问包裹 {number * 7} 什么时候到" for number in range(1, 12_001)]
    source.write_text("\n".join(["id,text", *lines]), encoding="utf-8")

    small_groups = {"YEBAN_CHUNK_ROWS": "32", "YEBAN_GROUP_CHUNKS": "2"}
    with yeban.start("tag", source, "--labels", LABELS, "--text-column", "text", "--json", **small_groups) as process:
        url = wait_until(
            lambda: process.poll() is not None or yeban.running_url(),
            timeout_s=300,
            what="the servers of the command",
        )
        assert isinstance(url, str), yeban.said("stderr")
        with Client(url) as client:
            wait_until(lambda: [job for job in client.jobs() if job["progress"]["done"]], what="tagged rows")
        os.killpg(process.pid, signal.SIGINT)
        status = process.wait(180)

    assert status == 130, yeban.said("stderr")
    summary = json.loads(yeban.said("stdout"))
    header, *rows = read(output)
    statuses = Counter(row[STATUS] for row in rows)
    assert header == ["id", "text", *TAGS]
    assert [f"{row[0]},{row[1]}" for row in rows] == lines
    assert set(statuses) == {"ok", "pending"}
    assert summary["state"] == "cancelled"
    assert (summary["rows"], summary["ok"]) == (12_000, statuses["ok"])
    assert all(row[2:5] == ["", "", ""] for row in rows if row[STATUS] == "pending")
    assert all(row[2] for row in rows if row[STATUS] == "ok")
    assert summary["seconds"] > 0
