from __future__ import annotations

import pytest

from scripts.check_subjects import faults


@pytest.mark.parametrize("subject", ["Add a route", "Write label set statements in SQLAlchemy Core", "x" * 60])
def test_short_imperative_subjects_pass(subject: str) -> None:
    assert faults([subject]) == []


@pytest.mark.parametrize("subject", ["x" * 61, "Added a route", "Fixes the sweep", "Add a route."])
def test_other_subjects_are_named(subject: str) -> None:
    assert faults(["Add a route", subject]) == [subject]
