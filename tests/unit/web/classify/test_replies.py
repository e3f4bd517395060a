"""What a worker answers, whatever it is: scores that can be shown, or one of our own errors."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.properties import examples
from web.classify.service import _read
from web.http.json import dumps
from yeban.errors import EngineFailed, YebanError, error_classes
from yeban.labels import LabelSet
from yeban.messaging.queues import TextReply

LABELS = LabelSet.of("甲,乙")
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
REPLY = st.fixed_dictionaries(
    {"scores": st.lists(st.floats(-0.1, 1.1) | st.floats(), min_size=2, max_size=2) | ANY},
    optional={
        **{name: st.floats() | ANY for name in TextReply.model_fields if name != "scores"},
        "error_code": st.sampled_from(sorted(error_classes())) | ANY,
    },
)


@given(st.binary(max_size=40) | (ANY | REPLY).map(lambda value: json.dumps(value).encode()))
@examples(300)
def test_any_answer(answer):
    try:
        reply = _read(answer, LABELS)
    except YebanError:
        return
    assert 0.0 <= min(reply.scores) <= max(reply.scores) <= 1.0
    LABELS.decide(reply.scores)
    json.loads(dumps(reply.model_dump()), parse_constant=pytest.fail)


@pytest.mark.parametrize(
    "answer",
    [
        b'{"scores": [1.5, 0.1]}',
        b'{"scores": [1e308, -1e308]}',
        b'{"scores": [0.5, NaN]}',
        b'{"scores": [0.5, 0.5], "queue_ms": NaN}',
        b'{"scores": [0.5, 0.5], "inference_ms": Infinity}',
        b'{"scores": [0.5]}',
    ],
)
def test_numbers_that_cannot_be_shown_are_the_models_failure(answer):
    with pytest.raises(EngineFailed):
        _read(answer, LABELS)
