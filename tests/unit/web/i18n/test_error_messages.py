"""An error's English sentence is known again and said in Chinese, whatever was filled in."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError
from werkzeug.exceptions import default_exceptions

from scripts import sentences as sources
from scripts.catalogues import read
from web.http import parsing
from web.http.errors import TITLES
from web.i18n import library_messages, locale
from web.i18n.error_messages import CONTEXT, translated
from yeban.database.tables.states import JobState
from yeban.errors import InvalidTable, YebanError
from yeban.labels import Label, LabelSet, Status
from yeban.tabular import ReadOptions, open_table

_PLACE = re.compile(r"\{\d+\}")
#: Raised with a name or a call in place of words: the words are marked where they are made.
OPAQUE = {
    "web/http/parsing.py": ["msg('%(sentence)s.', sentence=sentence)"],  # of fields; see web/i18n/library_messages.py
    "web/label_sets/import_export.py": [
        "_what_is_wrong(error, document)",
        "msg('%(problem)s.', problem=f\"{': '.join(where)}: {what}\")",
        "msg('%(where)s: %(field)s: %(what)s.', where=where, field=first['loc'][0], what=what)",
    ],
    "yeban/database/engine.py": ["database_problem(error)"],
    "yeban/messaging/queues.py": ["redis_problem(error)"],
    "yeban/tabular/detection.py": ["advice"],
    "yeban/webhooks/targets.py": ["message"],
}
SENTENCES = sorted({sentence.text for path in sources.sources() for sentence in sources.sentences(path)})
MESSAGES = {str(message.id): str(message.string) for message in read("zh") if message.context == CONTEXT}


@pytest.fixture(scope="module")
def app() -> Flask:
    made = Flask("web")
    locale.install(made)
    return made


@pytest.fixture
def chinese(app: Flask) -> Iterator[None]:
    with app.test_request_context(headers={"Accept-Language": "zh-CN,zh;q=0.9"}):
        yield


@pytest.fixture
def english(app: Flask) -> Iterator[None]:
    with app.test_request_context(headers={"Accept-Language": "en-GB"}):
        yield


def _filled(message: str, values: list[str]) -> str:
    return message.format(*values)


@pytest.mark.usefixtures("chinese")
@pytest.mark.parametrize("message", SENTENCES)
def test_every_sentence_is_known_again_with_what_was_filled_in(message):
    values = [f"⟨{number}⟩" for number in range(len(_PLACE.findall(message)))]

    said = translated(_filled(message, values))

    assert said == _filled(MESSAGES[message], values)
    assert all(value in said for value in values)


def test_what_is_raised_without_words_is_known():
    found = {path.relative_to(sources.ROOT).as_posix(): sources.opaque(path) for path in sources.sources()}

    assert {name: expressions for name, expressions in found.items() if expressions} == OPAQUE


@pytest.mark.usefixtures("english")
@pytest.mark.parametrize("said", [*SENTENCES[:20], "", "completed with errors"])
def test_english_stays_as_it_is(said):
    assert translated(said) == said


@pytest.mark.usefixtures("chinese")
def test_an_unknown_sentence_stays_in_english():
    assert translated("The moon is full.") == "The moon is full."
    assert translated("") == ""


@pytest.mark.usefixtures("chinese")
def test_states_and_titles_have_words():
    states = [state.value for state in (*JobState, *Status)]
    for words in (*(state.replace("_", " ") for state in states), *map(str, TITLES.values())):
        assert not translated(words).isascii(), words


@pytest.mark.usefixtures("chinese")
def test_words_of_ours_within_a_sentence_are_translated():
    assert (
        translated("A job that is completed_with_errors cannot be paused.")
        == "任务处于“已完成，有错误”状态，无法暂停。"
    )
    assert translated("There is no column “x” for the text column. The columns are: #1 “a”.").startswith(
        "没有名为“x”的列可作为文本列"
    )
    assert translated("start_at needs a time zone, as in 2026-11-22T22:00:00+08:00.").startswith("开始时间需要带时区")


@pytest.mark.usefixtures("chinese")
def test_what_people_wrote_is_not_translated():
    assert translated("The label “paused” is given twice; keep one.") == "标签“paused”重复了，请只保留一个。"
    assert translated("The label 'empty text' holds a NUL character.") == "标签 'empty text' 含有 NUL 字符。"
    assert translated("The template 'Row {} is {0}.' must contain {} exactly once, where the label goes.") == (
        "模板 'Row {} is {0}.' 必须恰好包含一个 {}，表示标签的位置。"
    )


@pytest.mark.usefixtures("chinese")
def test_a_sentence_within_a_sentence_is_translated_without_the_name_of_its_class():
    said = "The engine failed 3 times: EngineFailed: The engine returned scores that are not finite."
    assert translated(said) == "推理引擎失败了 3 次：推理引擎返回的分数不是有限数。"
    assert translated("EngineFailed: ONNX Runtime failed: bad shape") == "ONNX Runtime 运行失败：bad shape"
    assert translated("RuntimeError: The file is empty.") == "RuntimeError: The file is empty."


@pytest.mark.usefixtures("chinese")
@given(name=st.text(min_size=1, max_size=30), number=st.integers())
def test_whatever_was_filled_in_comes_out(name, number):
    said = translated(f"Row {number}: the job has no label “{name}”; give labels as the job has them.")

    assert said == f"第 {number} 行：任务中没有标签 “{name}”，请按任务中的写法填写。"


@pytest.mark.usefixtures("chinese")
def test_the_more_fixed_words_win():
    assert translated("Row 3: a label is given twice; give it once.") == "第 3 行：标签重复了，请只给一次。"
    assert translated("Row 3 is given twice; give it once.") == "第 3 行给了两次，请只给一次。"


@pytest.mark.usefixtures("chinese")
def test_a_long_sentence_takes_no_time():
    hostile = "Row " + ": a label is given twice; give it once" * 100
    started = time.perf_counter()
    for _ in range(20):
        translated(hostile[:4_000])
        translated(hostile * 1000)
    assert time.perf_counter() - started < 20  # hours where each place may begin anywhere
    too_long = f"Row {'9' * 5_000}: a label is given twice; give it once."
    assert translated(too_long) == too_long


class _Fields(BaseModel):
    threshold: float = Field(0.0, ge=0, le=1, allow_inf_nan=False)
    text_column: str = Field("", max_length=3)
    multi_label: bool = False


@pytest.mark.usefixtures("chinese")
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"threshold": "much"}, "阈值：应为数字，所填内容不是数字。"),
        ({"threshold": "2"}, "阈值：应小于或等于 1。"),
        ({"threshold": "nan"}, "阈值：应为有限的数字。"),
        ({"multi_label": "x", "text_column": "abcd"}, "文本列：最多 3 个字符；多标签：应为布尔值，无法识别所填内容。"),
    ],
)
def test_what_is_wrong_with_fields(values, said):
    with pytest.raises(ValidationError) as raised:
        _Fields.model_validate(values)

    assert translated(parsing._invalid(raised.value).detail) == said


@pytest.mark.usefixtures("chinese")
def test_a_list_with_one_unknown_problem_stays_in_english():
    assert translated("threshold: input should be a valid number; text: the moon is full.").startswith("threshold")


def test_words_of_werkzeug_are_still_its_words():
    descriptions = {kind.description for kind in default_exceptions.values()}
    assert [text for text in library_messages.OF_REQUESTS if text.endswith(".") and text not in descriptions] == []


def _refused(content: bytes, name: str = "t.csv", **options: object) -> str:
    with pytest.raises(YebanError) as raised, open_table(io.BytesIO(content), name, ReadOptions(**options)) as table:
        list(table)
    return raised.value.detail


@pytest.mark.usefixtures("chinese")
@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (lambda: _refused(b""), "文件是空的。"),
        (lambda: _refused(b"%PDF-1.7"), "这是 PDF，不是表格。请把表格导出为 CSV 或 XLSX。"),
        (lambda: _refused(b"a,b\n1,2\n"), "请指定文本列；"),
        (lambda: _refused(b"text\n1\n", text_column="x"), "没有名为“x”的列可作为文本列。现有的列：#1 “text”。"),
        (lambda: _refused(b'text\n"open\n'), "第 2 行（文件第 2 行）：引号在此打开，到文件末尾都没有关闭。"),
        (lambda: _refused(b"{]\n", "t.jsonl"), "文件第 1 行：不是 JSON 对象（第 2 个字符处："),
        (lambda: _refused(b"text\n" + b"x" * 50 + b"\n", max_cell_chars=20), "第 2 行第 1 列：一个单元格有 50 个字符"),
    ],
)
def test_what_is_wrong_with_a_file(refused: Callable[[], str], said):
    assert translated(refused()).startswith(said)


@pytest.mark.usefixtures("chinese")
def test_why_a_row_cannot_be_tagged():
    rows = b"id,text,more\n1\n2,,x\n"
    with open_table(io.BytesIO(rows), "t.csv", ReadOptions()) as table:
        problems = [translated(row.problem or "") for row in table]
    assert problems == ["有 1 个单元格，而表头有 3 个", "文本为空"]


@pytest.mark.usefixtures("chinese")
def test_what_is_wrong_with_labels():
    with pytest.raises(YebanError) as raised:
        LabelSet(labels=(Label(name="物流"), Label(name="物流")))
    assert translated(raised.value.detail) == "标签“物流”重复了，请只保留一个。"


def test_an_error_is_found_where_it_is_raised(tmp_path: Path):
    source = tmp_path / "some.py"
    source.write_text(
        'raise InvalidTable(f\'Row {row} has {n} cell{"s" if n > 1 else ""} of {{}}.\', row=row)\n'
        "raise errors.TooLarge('Half of it ' f'is {size:,} too much.')\n"
        "why = msg('after row %(at)s', at=at) if at else msg('at once')\n"
        "raise InvalidTable(advice)\n"
        "log.warning(f'not shown {at}')\n"
    )

    assert [sentence.text for sentence in sources.sentences(source)] == [
        "Row {0} has {1} cells of {{}}.",
        "Row {0} has {1} cell of {{}}.",
        "Half of it is {0} too much.",
        "after row {0}",
        "at once",
    ]
    assert sources.opaque(source) == ["advice"]


def test_every_kind_of_error_is_looked_for():
    assert {InvalidTable.__name__, YebanError.__name__} <= sources._ERRORS
