from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from pydantic import Field, ValidationError

from web.http.json import AnswerBody, Moment, dumps, json_response, maybe_absent


def test_text_stays_readable_and_lone_surrogates_are_escaped():
    assert dumps({"a": "夜班"}) == '{"a":"夜班"}'.encode()
    assert json.loads(dumps("x\ud800\x00\u2028")) == "x\ud800\x00\u2028"


def test_values_without_json_are_errors():
    with pytest.raises(ValueError, match="JSON"):
        dumps(float("nan"))


class _Part(AnswerBody):
    name: str
    made_at: Moment


class _Whole(AnswerBody):
    row: int = Field(validation_alias="row_no")
    part: _Part | None = maybe_absent()
    score: float | None


@dataclass
class _View:
    row_no: int
    part: dict[str, object] | None
    score: float | None
    internal_id: int = 7


_MOMENT = datetime(2026, 11, 30, 22, 0, tzinfo=UTC)


def test_an_answer_takes_what_it_has_of_a_view_and_leaves_out_the_rest():
    view = _View(row_no=3, part={"name": "夜班", "made_at": _MOMENT, "secret": "x"}, score=None)
    answer = json_response(_Whole.of(view))
    assert answer.get_data(as_text=True) == (
        '{"row":3,"part":{"name":"夜班","made_at":"2026-11-30T22:00:00+00:00"},"score":null}'
    )
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_field_that_may_be_absent_is_left_out_and_never_null():
    assert json_response(_Whole.of(_View(row_no=3, part=None, score=0.5))).json == {"row": 3, "score": 0.5}
    schema = _Whole.model_json_schema(mode="serialization")
    assert schema["properties"]["part"] == {"$ref": "#/$defs/_Part"}
    assert schema["required"] == ["row", "score"]


def test_an_answer_that_lacks_a_field_is_a_defect():
    with pytest.raises(ValidationError):
        _Whole.of({"row_no": 3})
