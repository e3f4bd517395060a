from __future__ import annotations

import json
import pickle

import pytest

from yeban.errors import (
    Conflict,
    EngineFailed,
    InvalidTable,
    Message,
    YebanError,
    error_from_code,
    message_of,
    msg,
    stored_message,
)

NESTED = msg(
    "%(a)s and %(b)s, %(c)s, 100 %%",
    a=msg("row %(row)s", row=3),
    b=[msg("empty text"), Message.verbatim("5 %")],
    c=None,
)


def test_a_message_is_its_english_sentence():
    assert str(NESTED) == "row 3 and empty text; 5 %, None, 100 %"


def test_a_message_is_stored_and_read_again():
    assert Message.from_json(json.loads(NESTED.dumps())) == NESTED
    assert NESTED.to_json()["parameters"]["a"] == {"id": "row %(row)s", "parameters": {"row": 3}}
    assert stored_message(None) is None


def test_words_of_others_stay_as_they_are():
    said = "50 % of %(this)s and {that}"

    assert str(Message.verbatim(said)) == said


def test_a_parameter_is_json():
    error = Conflict(msg("There is no job %(job)s.", job=7))
    message = msg("%(path)s: %(error)s", path=ValueError("x"), error=error)

    assert message.parameters == {"path": "x", "error": msg("There is no job %(job)s.", job=7)}


def test_an_error_has_a_message_in_english_and_facts():
    error = InvalidTable(msg("Row %(row)s has no name.", row=3), row=3)

    assert (str(error), error.detail, error.context) == ("Row 3 has no name.", "Row 3 has no name.", {"row": 3})


def test_an_error_survives_another_process():
    error = pickle.loads(pickle.dumps(Conflict(NESTED, job=1)))  # noqa: S301

    assert (type(error), error.message, error.context) == (Conflict, NESTED, {"job": 1})


@pytest.mark.parametrize(("code", "kind"), [("conflict", Conflict), ("no such code", YebanError)])
def test_an_error_is_made_from_its_code(code, kind):
    error = error_from_code(code, NESTED)

    assert (type(error), error.message) == (kind, NESTED)


def test_the_message_of_any_exception_is_short():
    expected = message_of(EngineFailed(msg("ONNX Runtime failed: %(error)s", error="x" * 900)))
    unexpected = message_of(RuntimeError("50% " + "x" * 900))

    assert expected == msg("ONNX Runtime failed: %(error)s", error="x" * 500)
    assert str(unexpected).startswith("RuntimeError: 50% x")
    assert len(str(unexpected)) == 500
