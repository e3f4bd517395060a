from __future__ import annotations

import json

import pytest

from web.http.json import dumps


def test_text_stays_readable_and_half_a_surrogate_pair_is_escaped():
    assert dumps({"a": "夜班"}) == '{"a":"夜班"}'.encode()
    assert json.loads(dumps("x\ud800\x00\u2028")) == "x\ud800\x00\u2028"


def test_what_json_has_no_word_for_is_a_defect():
    with pytest.raises(ValueError, match="JSON"):
        dumps(float("nan"))
