"""``python -m worker.evaluation`` with the real model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.evaluation.__main__ import main
from yeban.settings import get_settings

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


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("YEBAN_DATA_DIR", str(tmp_path / "data"))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def test_one_object_with_everything(table: Path, model_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    further = ["--examples=2", "--corrections=10", "--leave-out=发票", "--precision=0.9", "--model-dir", str(model_dir)]

    status = main([str(table), "--gold-column=类别", "--json", *further])

    told = json.loads(capsys.readouterr().out)
    assert status == 0
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


def test_tables_for_a_person_and_labels_of_ones_own(
    table: Path, model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ["--labels=物流配送,发票", "--no-refine", "--template=这是{}。", "--model-dir", str(model_dir)]

    assert main([str(table), "--gold-column=类别", *labels]) == 0

    captured = capsys.readouterr()
    assert "row by row" in captured.out
    assert "refined" not in captured.out
    assert "账号登录 (10)" in captured.out
    assert "Evaluating tickets.csv: 30 rows" in captured.err


@pytest.mark.parametrize(
    ("further", "status", "words"),
    [
        (["--gold-column=类"], 2, "tickets.csv: "),
        (["--gold-column=类别", "--text-column=正文"], 2, "正文"),
        (["--gold-column=类别", "--labels=发票"], 2, "one label"),
        (["--gold-column=类别", "--labels=发票,发票"], 2, "given twice"),
        (["--gold-column=类别", "--template=无"], 2, "must contain {}"),
        (["--gold-column=类别", "--leave-out=退款"], 2, "no label “退款”"),
        (["--gold-column=类别", "--precision=nan"], 2, "--precision"),
        (["--gold-column=类别", "--examples=-1"], 2, "--examples"),
        (["--gold-column=类别", "--corrections=5", "--no-refine"], 2, "--no-refine"),
        (["--gold-column=类别", "--encoding=latin-9000"], 2, "latin-9000"),
        (["--gold-column=类别", "--model=none"], 2, "There is no model none"),
        (["--gold-column=类别", "none.csv"], 2, "Cannot read none.csv"),
    ],
)
def test_mistakes_are_told_in_one_line(
    table: Path, capsys: pytest.CaptureFixture[str], further: list[str], status: int, words: str
) -> None:
    assert main([*further, str(table)]) == status

    captured = capsys.readouterr()
    assert captured.out == ""
    last = captured.err.splitlines()[-1]
    assert last.startswith("yeban: ")
    assert words in last


def test_a_label_is_left_out_of_the_files_that_have_it(
    table: Path, tmp_path: Path, model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.csv"
    other.write_text("内容,类别\n很好,好评\n太差,差评\n", encoding="utf-8")
    further = ["--leave-out=发票", "--no-refine", "--json", "--model-dir", str(model_dir)]

    assert main([str(other), str(table), "--gold-column=类别", *further]) == 0

    files = json.loads(capsys.readouterr().out)["files"]
    assert [len(file["left_out"]) for file in files] == [0, 1]
