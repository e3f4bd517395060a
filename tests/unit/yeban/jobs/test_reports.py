import json

import pytest

from yeban.jobs.reports import Summary, refinement_from_json, refinement_to_json

EVALUATION = {
    "rows": 3,
    "without_gold": 1,
    "accuracy": 0.5,
    "macro_f1": None,
    "per_label": {"甲": {"precision": 1.0, "recall": 0.5, "f1": 0.625, "support": 2}},
    "unknown_gold": {"丁": 1},
    "unknown_gold_left_out": 0,
}
SUMMARY = {"rows": 4, "ok": 2, "abstained": 1, "errors": 1, "labels": {"甲": 2}, "scores": [0] * 20, "seconds": 1.5}
SINGLE_LABEL = {
    "by_row": {"accuracy": 0.25, "macro_f1": None},
    "thresholds": [{"wanted": 0.9, "threshold": 0.6, "precision": 0.95, "coverage": 0.5}],
    "curve": [[0.5, 1.0, 0.5]],
    "confusion": {"cells": [[0, None, 2], [None, 0, 1]], "left_out": 0},
}
REFINED = {
    "state": "done",
    "rows": 4,
    "changed": 2,
    "moves": [[0, 1, 2]],
    "examples": [1, 2],
    "suggested": [3],
    "changed_since": None,
    "corrections": 0,
    "sample_rows": 4,
    "temper": 0.5,
    "seconds": 0.1,
}


@pytest.mark.parametrize(
    "stored",
    [
        SUMMARY,
        SUMMARY | {"evaluation": EVALUATION},
        SUMMARY | {"evaluation": EVALUATION | SINGLE_LABEL},
        SUMMARY | {"evaluation": EVALUATION | {"thresholds": [], "curve": []}},
    ],
)
def test_a_summary_is_stored_as_it_was_read(stored):
    assert json.loads(json.dumps(Summary.from_json(stored).to_json())) == stored


@pytest.mark.parametrize("stored", [REFINED, {"state": "skipped", "reason": {"id": "too few rows", "parameters": {}}}])
def test_a_refinement_is_stored_as_it_was_read(stored):
    assert json.loads(json.dumps(refinement_to_json(refinement_from_json(stored)))) == stored
