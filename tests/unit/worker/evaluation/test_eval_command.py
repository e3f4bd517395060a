"""``yeban eval`` with the real model."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]
TOPICS = {
    "物流配送": ("包裹三天没动了", "快递还没送到", "货物什么时候发出", "配送员电话打不通", "快件显示签收我没收到"),
    "发票": ("请给我开发票", "发票抬头写错了", "电子发票在哪下载", "我要增值税专票", "发票金额不对"),
    "账号登录": ("密码忘了登不上", "账号被冻结了", "收不到登录验证码", "怎么修改登录密码", "账号被别人登录"),
}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "tickets.csv"
    lines = [f"{text}{number},{topic}" for topic, texts in TOPICS.items() for text in texts for number in ("", "，急")]
    path.write_text("\n".join(["内容,类别", *lines]), encoding="utf-8")
    return path


def test_one_object_with_everything(run_yeban: Run, table: Path, model_dir: Path) -> None:
    further = ["--examples=2", "--corrections=10", "--leave-out=发票", "--precision=0.9", "--model-dir", model_dir]

    ended = run_yeban("eval", table, "--gold-column=类别", "--json", *further)

    assert ended.exit_code == 0
    told = json.loads(ended.stdout)
    (file,) = told["files"]
    assert told["model"]["name"] == "e5-small"
    assert file["labels"] == sorted(TOPICS)
    assert [(one["setting"], one["examples"], one["rows"]) for one in file["settings"]] == [
        ("row by row", 0, 30),
        ("refined", 0, 30),
        ("row by row", 2, 24),
        ("refined", 2, 24),
    ]
    assert all(one["accuracy"] > 0.6 for one in file["settings"])
    assert [step["corrections"] for step in file["corrections"]] == [0, 10]
    assert file["left_out"][0]["rejected"] == 10


def test_tables_for_a_person_and_labels_of_ones_own(run_yeban: Run, table: Path, model_dir: Path) -> None:
    labels = ["--labels=物流配送,发票", "--no-refine", "--template=这是{}。", "--model-dir", model_dir]

    ended = run_yeban("eval", table, "--gold-column=类别", *labels)

    assert ended.exit_code == 0
    assert "row by row" in ended.stdout
    assert "refined" not in ended.stdout
    assert "账号登录 (10)" in ended.stdout
    assert "Evaluating tickets.csv: 30 rows" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gold-column=类别"], "FILE"),
        (["none.csv", "--gold-column=类别"], "none.csv"),
        (["tickets.csv"], "--gold-column"),
        (["pipe", "--gold-column=类别"], "not an ordinary file"),
        (["tickets.csv", "--gold-column=类"], "tickets.csv: "),
        (["tickets.csv", "--gold-column=类别", "--text-column=正文"], "正文"),
        (["tickets.csv", "--gold-column=类别", "--labels=发票"], "one label"),
        (["tickets.csv", "--gold-column=类别", "--labels=发票,发票"], "appears twice"),
        (["tickets.csv", "--gold-column=类别", "--labels=a,b", "--labels-file=tickets.csv"], "--labels-file"),
        (["tickets.csv", "--gold-column=类别", "--template=无"], "must contain {}"),
        (["tickets.csv", "--gold-column=类别", "--leave-out=退款"], "no label “退款”"),
        (["tickets.csv", "--gold-column=类别", "--precision=nan"], "--precision"),
        (["tickets.csv", "--gold-column=类别", "--precision=0"], "--precision"),
        (["tickets.csv", "--gold-column=类别", "--precision=1.5"], "--precision"),
        (["tickets.csv", "--gold-column=类别", "--examples=0"], "--examples"),
        (["tickets.csv", "--gold-column=类别", "--corrections=many"], "--corrections"),
        (["tickets.csv", "--gold-column=类别", "--corrections=5", "--no-refine"], "--no-refine"),
        (["tickets.csv", "--gold-column=类别", "--encoding=latin-9000"], "latin-9000"),
        (["tickets.csv", "--gold-column=类别", "--delimiter=-->"], "delimiter"),
        (["tickets.csv", "--gold-column=类别", "--model=none"], "There is no model none"),
    ],
)
def test_mistakes_are_told_in_one_line(run_yeban: Run, table: Path, arguments: list[str], words: str) -> None:
    os.mkfifo("pipe")

    ended = run_yeban("eval", *arguments)

    assert ended.exit_code == 2
    assert ended.stdout == ""
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("yeban: ")
    assert words in last


def test_a_file_name_may_begin_with_a_hyphen(run_yeban: Run, table: Path, model_dir: Path) -> None:
    table.rename("-tickets.csv")

    ended = run_yeban("eval", "--gold-column=类别", "--no-refine", "--model-dir", model_dir, "--", "-tickets.csv")

    assert ended.exit_code == 0


def test_a_label_is_left_out_of_the_files_that_have_it(
    run_yeban: Run, table: Path, tmp_path: Path, model_dir: Path
) -> None:
    other = tmp_path / "other.csv"
    other.write_text("内容,类别\n很好,好评\n太差,差评\n", encoding="utf-8")
    further = ["--leave-out=发票", "--no-refine", "--json", "--model-dir", model_dir]

    ended = run_yeban("eval", other, table, "--gold-column=类别", *further)

    assert [len(file["left_out"]) for file in json.loads(ended.stdout)["files"]] == [0, 1]
