import pytest

from worker.process_limits import MemoryLimit, resident_mb
from yeban.errors import ConfigurationError


class Taken:
    """Memory of a process as the test says, and how often it was ended."""

    def __init__(self, limit_mb):
        self.mb = 0.0
        self.ended = 0
        self.limit = MemoryLimit(limit_mb, self._end, resident=lambda: self.mb)

    def _end(self):
        self.ended += 1


def test_a_process_over_its_limit_is_ended_once():
    taken = Taken(500)
    for taken.mb, ended in ((100, 0), (500, 0), (500.1, 1), (900, 1)):
        taken.limit.check()
        assert taken.ended == ended


def test_without_a_limit_it_may_grow():
    taken = Taken(None)
    taken.mb = 1e9
    taken.limit.check_start()
    taken.limit.check()
    assert taken.ended == 0


def test_a_limit_that_the_model_alone_exceeds_is_refused_at_the_start():
    taken = Taken(500)
    taken.limit.check_start()
    taken.mb = 612.4
    with pytest.raises(ConfigurationError, match=r"YEBAN_MAX_RSS_MB=500.* takes 612 MiB; set it to 1225"):
        taken.limit.check_start()
    assert taken.ended == 0


def test_the_memory_of_this_process_is_told_in_mib():
    before = resident_mb()
    held = b"x" * 2**27
    assert 64 < resident_mb() - before < 192  # others may take and give back memory meanwhile
    assert held
