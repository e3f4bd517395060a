import pytest

from worker.tasks.models import slices


def itself(number: int) -> int:
    return number


@pytest.mark.parametrize(
    ("weights", "parts"),
    [
        ([], []),
        ([1, 2, 3], [[1, 2, 3]]),
        ([4, 6, 1], [[4, 6], [1]]),
        ([6, 6, 6], [[6], [6], [6]]),
        ([1, 99, 1, 1], [[1], [99], [1, 1]]),
        ([0, 0, 10, 0], [[0, 0, 10, 0]]),
    ],
)
def test_parts_are_as_full_as_they_may_be_and_keep_the_order(weights, parts):
    assert slices(weights, itself, 10) == parts
