"""Conditions of a complete heartbeat."""

from __future__ import annotations

import json
import os

import pytest

from tests.fixtures.clock import FakeClock
from worker.heartbeat import LOOP_STALLED_S, Heartbeat
from yeban.errors import ConfigurationError


@pytest.fixture
def clock():
    return FakeClock(100.0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "heartbeat"


@pytest.fixture
def heartbeat(path, clock):
    return Heartbeat("bulk", path, clock=clock)


def test_without_an_event_loop_there_is_no_heartbeat(heartbeat, path):
    assert not heartbeat.beat()
    assert heartbeat.age_s() is None
    assert not path.exists()


def test_a_heartbeat_is_in_the_file_and_has_an_age(heartbeat, path, clock):
    heartbeat.tick()
    assert heartbeat.beat()
    clock.now += 7
    assert heartbeat.age_s() == 7
    assert json.loads(path.read_text()) == {"role": "bulk", "pid": os.getpid()}
    assert list(path.parent.iterdir()) == [path]


def test_a_loop_that_stands_still_ends_the_heartbeat_though_the_database_answers(heartbeat, path, clock):
    heartbeat.tick()
    heartbeat.beat()
    path.unlink()
    clock.now += LOOP_STALLED_S + 1
    assert not heartbeat.beat()
    assert not path.exists()
    assert heartbeat.age_s() == LOOP_STALLED_S + 1
    heartbeat.tick()
    assert heartbeat.beat()
    assert path.exists()


def test_the_file_of_an_earlier_process_is_no_heartbeat_of_this_one(heartbeat, path):
    path.write_text("old")
    heartbeat.prepare()
    assert not path.exists()


def test_a_file_that_cannot_be_written_is_said_before_anything_begins(tmp_path):
    with pytest.raises(ConfigurationError, match="YEBAN_HEARTBEAT_FILE"):
        Heartbeat("bulk", tmp_path / "nowhere" / "heartbeat").prepare()


def test_a_full_disk_later_on_costs_the_file_and_not_the_worker(heartbeat, path):
    heartbeat.tick()
    path.mkdir()
    assert heartbeat.beat()
    assert heartbeat.age_s() == 0


def test_at_an_orderly_end_the_file_goes(heartbeat, path):
    heartbeat.tick()
    heartbeat.beat()
    heartbeat.stop()
    assert list(path.parent.iterdir()) == []


def test_without_a_file_there_is_only_the_age(clock):
    heartbeat = Heartbeat("interactive", None, clock=clock)
    heartbeat.prepare()
    heartbeat.tick()
    assert heartbeat.beat()
    heartbeat.stop()
    assert heartbeat.age_s() == 0
