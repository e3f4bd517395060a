from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from http import HTTPStatus
from typing import Any, Literal

import pytest
from flask import Flask
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from werkzeug.exceptions import BadRequest, MethodNotAllowed, NotFound, UnsupportedMediaType, default_exceptions

from web.http import parsing
from web.i18n import library_messages, locale
from web.i18n.library_messages import field_name, of_request, of_value
from web.i18n.messages import translated


@pytest.fixture(scope="module")
def app() -> Flask:
    made = Flask("web")
    locale.install(made)
    return made


@pytest.fixture
def chinese(app: Flask) -> Iterator[None]:
    with app.test_request_context(headers={"Accept-Language": "zh"}):
        yield


class _Inner(BaseModel):
    model_config = ConfigDict(strict=True)


class _Values(BaseModel):
    model_config = ConfigDict(extra="forbid")

    flag: bool = False
    moment: datetime | None = None
    table: dict[str, str] = {}
    finite: float = Field(0.0, allow_inf_nan=False)
    number: float = 0.0
    over: float = Field(1.0, gt=0)
    at_least: float = Field(1.0, ge=0.5)
    under: int = Field(1, lt=9)
    at_most: int = Field(1, le=8)
    whole: int = 0
    some: list[str] = Field(["a", "b"], min_length=2, max_length=3)
    one: list[str] = Field(["a"], min_length=1, max_length=1)
    kind: Literal["csv", "xlsx", "jsonl"] = "csv"
    inner: _Inner = _Inner()
    text: str = Field("ab", min_length=2, max_length=3)
    letter: str = Field("a", min_length=1, max_length=1)
    code: str = Field("a", pattern="^a$")


def _problem(values: dict[str, Any]) -> Any:
    with pytest.raises(ValidationError) as raised:
        _Values.model_validate(values)
    (item,) = raised.value.errors()
    return item


@pytest.mark.usefixtures("chinese")
@pytest.mark.parametrize(
    "values",
    [
        {"flag": "x"},
        {"flag": []},
        {"moment": "soon"},
        {"moment": []},
        {"moment": "2026-13-01"},
        {"table": 1},
        {"finite": "inf"},
        {"number": "x"},
        {"number": []},
        {"over": 0},
        {"at_least": 0},
        {"under": 9},
        {"at_most": 9},
        {"whole": 1.5},
        {"whole": "x"},
        {"whole": "9" * 5000},
        {"whole": []},
        {"some": ["a"]},
        {"some": ["a"] * 4},
        {"one": []},
        {"one": ["a"] * 2},
        {"some": 1},
        {"kind": "pdf"},
        {"text": "a"},
        {"text": "a" * 4},
        {"letter": ""},
        {"letter": "ab"},
        {"text": 1},
        {"code": "b"},
    ],
    ids=str,
)
def test_the_english_is_pydantics_and_there_is_chinese(values):
    item = _problem(values)

    message = of_value(item)

    assert str(message) == item["msg"][0].lower() + item["msg"][1:]
    assert not translated(message).isascii()


def test_a_problem_of_an_unknown_type_keeps_its_words():
    item = {"type": "moon", "loc": ("sky",), "msg": "The moon is 100% full", "input": None}

    assert str(of_value(item)) == "the moon is 100% full"


@pytest.mark.usefixtures("chinese")
@pytest.mark.parametrize(
    ("values", "english", "chinese_words"),
    [
        ({"whole": "x"}, "whole: input should be a valid integer, unable to parse string as an integer.", None),
        (
            {"text": "abcd", "strange": 1},
            "text: string should have at most 3 characters; strange: there is no such field.",
            "文本：最多 3 个字符；strange：没有这个字段。",
        ),
    ],
)
def test_problems_of_fields_are_listed_with_their_names(values, english, chinese_words):
    with pytest.raises(ValidationError) as raised:
        _Values.model_validate(values)

    error = parsing.invalid(raised.value)

    assert error.detail == english
    assert error.context == {"field": next(iter(values))}
    if chinese_words is not None:
        assert translated(error.message) == chinese_words


@pytest.mark.usefixtures("chinese")
def test_fields_of_forms_have_names():
    assert field_name("multi_label") == "多标签"
    assert field_name("moon") is None


@pytest.mark.usefixtures("chinese")
@pytest.mark.parametrize("kind", [BadRequest, NotFound, MethodNotAllowed, UnsupportedMediaType])
def test_what_werkzeug_says_is_translated(kind):
    error = kind()

    title, detail = of_request(error, HTTPStatus(error.code))

    assert (str(title), str(detail)) == (HTTPStatus(error.code).phrase, kind.description)
    assert not translated(title).isascii()
    assert not translated(detail).isascii()


def test_a_description_of_its_own_is_kept():
    _, detail = of_request(NotFound("100% gone"), HTTPStatus.NOT_FOUND)

    assert str(detail) == "100% gone"


def test_words_of_werkzeug_are_still_its_words():
    descriptions = {code: kind.description for code, kind in default_exceptions.items()}
    for status, detail in library_messages._DETAILS.items():
        assert str(detail) == descriptions[status]
