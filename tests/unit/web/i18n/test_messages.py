from __future__ import annotations

import ast
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from scripts import catalogues
from web.http.errors import ANSWERS
from web.i18n import locale
from web.i18n.messages import translated
from yeban.database.tables.states import JobState
from yeban.errors import EngineFailed, Message, YebanError, msg
from yeban.labels import Label, LabelSet
from yeban.tabular import ReadOptions, open_table

_PLACE = re.compile(r"%\((\w+)\)s")


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


def _calls_of_msg() -> Iterator[tuple[str, ast.Call]]:
    for package in catalogues.PACKAGES:
        for path in sorted((catalogues.ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "msg":
                    yield f"{path.relative_to(catalogues.ROOT)}:{node.lineno}", node


def test_every_message_is_a_literal_that_can_be_extracted_and_filled_in():
    """Where a template has its parameters later, as in web/i18n/library_messages.py, it is given none."""
    wrong = []
    for place, call in _calls_of_msg():
        literal = call.args[0].value if len(call.args) == 1 and isinstance(call.args[0], ast.Constant) else None
        given_names = {keyword.arg for keyword in call.keywords}
        is_template = not given_names and Path(place.partition(":")[0]).name == "library_messages.py"
        if not isinstance(literal, str) or (set(_PLACE.findall(literal)) != given_names and not is_template):
            wrong.append(place)

    assert wrong == []


@pytest.mark.usefixtures("english")
def test_english_is_what_the_source_says():
    message = msg("Row %(row)s has no name.", row=3)

    assert translated(message) == str(message) == "Row 3 has no name."


@pytest.mark.usefixtures("chinese")
def test_a_message_without_a_translation_stays_in_english():
    assert translated(Message("The moon is full at %(hour)s.", {"hour": 3})) == "The moon is full at 3."
    assert translated(Message.verbatim("100 % of {}")) == "100 % of {}"


@pytest.mark.usefixtures("english")
def test_a_file_has_the_language_that_was_asked_for():
    assert translated(msg("empty text"), to="zh") == "文本为空"


@pytest.mark.usefixtures("chinese")
def test_states_and_titles_have_words():
    for message in (*(state.message for state in JobState), *(title for _, title in ANSWERS.values())):
        assert not translated(message).isascii(), message


@pytest.mark.usefixtures("chinese")
def test_words_of_ours_within_a_sentence_are_translated():
    state = JobState.COMPLETED_WITH_ERRORS.message
    assert (
        translated(msg("A job that is %(state)s cannot be paused.", state=state))
        == "任务处于“已完成，有错误”状态，无法暂停。"
    )


@pytest.mark.usefixtures("chinese")
def test_what_people_wrote_is_not_translated():
    assert translated(msg("The label “%(name)s” appears twice. Keep one.", name="paused")) == (
        "标签“paused”重复了，请只保留一个。"
    )


@pytest.mark.usefixtures("chinese")
def test_an_error_within_a_sentence_is_translated():
    error = EngineFailed(msg("The engine returned scores that are not finite."))
    said = msg("The engine failed %(attempt)s times: %(reason)s", attempt=3, reason=error)

    assert translated(said) == "推理引擎失败了 3 次：推理引擎返回了无效的分数。"


@pytest.mark.usefixtures("chinese")
def test_a_list_of_messages_has_the_marks_of_the_language():
    said = msg("%(problems)s.", problems=[msg("empty text"), msg("not a JSON object")])

    assert str(said) == "empty text; not a JSON object."
    assert translated(said) == "文本为空；不是 JSON 对象。"


@pytest.mark.usefixtures("chinese")
@given(name=st.text(max_size=30), number=st.integers())
def test_whatever_was_filled_in_comes_out(name, number):
    said = msg("Row %(number)s (“%(name)s”)", number=number, name=name)

    assert translated(said) == f"第 {number} 行（“{name}”）"


def _refused(content: bytes, name: str = "t.csv", **options: object) -> Message:
    with pytest.raises(YebanError) as raised, open_table(io.BytesIO(content), name, ReadOptions(**options)) as table:
        list(table)
    return raised.value.message


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
def test_what_is_wrong_with_a_file(refused: Callable[[], Message], said):
    assert translated(refused()).startswith(said)


@pytest.mark.usefixtures("chinese")
def test_why_a_row_cannot_be_tagged():
    rows = b"id,text,more\n1\n2,,x\n"
    with open_table(io.BytesIO(rows), "t.csv", ReadOptions()) as table:
        problems = [row.problem and translated(row.problem) for row in table]
    assert problems == ["有 1 个单元格，而表头有 3 个", "文本为空"]


@pytest.mark.usefixtures("chinese")
def test_what_is_wrong_with_labels():
    with pytest.raises(YebanError) as raised:
        LabelSet(labels=(Label(name="物流"), Label(name="物流")))
    assert translated(raised.value.message) == "标签“物流”重复了，请只保留一个。"
