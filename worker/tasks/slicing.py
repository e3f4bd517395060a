"""Cutting a group into the parts that go through the engine one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def cut(items: Sequence[T], weight: Callable[[T], int], most: int) -> list[list[T]]:
    """Consecutive parts of ``items`` that weigh at most ``most`` each; what is heavier by itself is a part alone."""
    parts: list[list[T]] = []
    filled = 0
    for item in items:
        weighs = weight(item)
        if parts and filled + weighs <= most:
            parts[-1].append(item)
            filled += weighs
        else:
            parts.append([item])
            filled = weighs
    return parts
