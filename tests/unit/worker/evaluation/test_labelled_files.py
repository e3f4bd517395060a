from __future__ import annotations

import json
from pathlib import Path

import pytest

from worker.evaluation.files import LabelledFile, read_labelled
from yeban.errors import InvalidLabels, InvalidTable, InvalidTemplate, UnknownColumn, YebanError
from yeban.labels import Label
from yeban.tabular import ReadOptions

TABLE = "text,label\n包裹丢了,物流\n要发票,发票\n,物流\n没有标签,\n快递慢,物流\n"


def read(path: Path, **options: str) -> LabelledFile:
    return read_labelled(path, ReadOptions(**{"gold_column": "label", **options}), template="{}")


def write(folder: Path, content: str | bytes, name: str = "in.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_rows_without_text_or_right_label_are_left_out_and_counted(tmp_path: Path) -> None:
    file = read(write(tmp_path, TABLE))

    assert file.texts == ("包裹丢了", "要发票", "快递慢")
    assert file.label_set.names == ("发票", "物流")
    assert file.gold.tolist() == [1, 0, 1]
    assert (file.name, file.without_gold, file.unusable) == ("in.csv", 1, 1)


def test_other_formats_and_encodings_are_read(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"text": text, "label": text[0]}) + "\n" for text in ("a1", "b2"))

    assert read(write(tmp_path, TABLE.encode("gb18030"))).texts[0] == "包裹丢了"
    assert read(write(tmp_path, TABLE.replace(",", "\t"), "in.tsv"), delimiter="tab").gold.tolist() == [1, 0, 1]
    assert read(write(tmp_path, lines, "in.jsonl")).label_set.names == ("a", "b")


def test_labels_that_are_given_keep_their_order_and_others_are_counted(tmp_path: Path) -> None:
    labels = (Label(name="物流"), Label(name="退款", description="退钱", examples=("钱呢",)))

    file = read_labelled(write(tmp_path, TABLE), ReadOptions(gold_column="label"), labels=labels, template="{}")

    assert file.label_set.labels == labels
    assert file.names == ("物流", "退款", "发票")
    assert file.gold.tolist() == [0, 2, 0]
    assert file.other_counts == {"发票": 1}


@pytest.mark.parametrize(
    ("content", "options", "error", "words"),
    [
        (TABLE, {"gold_column": "类别"}, UnknownColumn, "类别"),
        (TABLE, {"text_column": "txt"}, UnknownColumn, "txt"),
        ("text,label\na,\nb,\n", {}, InvalidTable, "No row has both"),
        ("text,label\na,x\nb,x\n", {}, InvalidLabels, "one label, “x”"),
        ("text,label\n", {}, InvalidTable, "no data rows"),
        ("", {}, InvalidTable, ""),
    ],
)
def test_what_cannot_be_judged_is_refused_by_name(
    tmp_path: Path, content: str, options: dict[str, str], error: type[YebanError], words: str
) -> None:
    with pytest.raises(error, match=rf"^in\.csv: .*{words}"):
        read(write(tmp_path, content), **options)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidTable, match=r"Cannot read .*none\.csv: No such file"):
        read(tmp_path / "none.csv")


def test_a_template_needs_a_place_for_the_label(tmp_path: Path) -> None:
    with pytest.raises(InvalidTemplate):
        read_labelled(write(tmp_path, TABLE), ReadOptions(gold_column="label"), template="none")
