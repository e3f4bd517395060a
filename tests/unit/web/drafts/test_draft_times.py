"""Times of the form of an uploaded file."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import pytest

from web.drafts.form import check_times, time_zone
from web.jobs.submission import JobFields
from yeban.errors import InvalidRequest

NOW = datetime.fromisoformat("2026-11-26T22:00:30+08:00")


def _asked(start_s: float | None, expires_s: float | None = None) -> JobFields:
    def moment(after_s: float | None) -> datetime | None:
        return None if after_s is None else NOW + timedelta(seconds=after_s)

    return JobFields(labels=["a"], start_at=moment(start_s), expires_at=moment(expires_s))


@pytest.mark.parametrize(("start_s", "expires_s"), [(None, None), (-59, None), (60, 61), (None, 1), (-30, 1)])
def test_times_that_can_be_meant(start_s, expires_s):
    check_times(_asked(start_s, expires_s), NOW)


@pytest.mark.parametrize(
    ("start_s", "expires_s", "field"),
    [(-60, None, "start_at"), (-86_400, 60, "start_at"), (None, 0, "expires_at"), (60, 60, "expires_at")],
)
def test_times_that_cannot_are_refused_in_the_words_of_the_page(start_s, expires_s, field):
    with pytest.raises(InvalidRequest, match=r"^The (start time|deadline)") as caught:
        check_times(_asked(start_s, expires_s), NOW)
    assert caught.value.context["field"] == field
    assert field not in caught.value.detail


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ("Asia/Shanghai", "UTC+08:00, Asia/Shanghai"),
        (":Asia/Tokyo", "UTC+09:00, Asia/Tokyo"),
        ("UTC", "UTC+00:00"),
        ("Etc/GMT-8", "UTC+08:00"),
        ("CST-8", "UTC+08:00"),
        ("", "UTC+00:00"),
    ],
)
def test_the_zone_has_its_offset_and_its_name(monkeypatch, zone, told):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert time_zone() == told
    finally:
        monkeypatch.undo()
        time.tzset()
