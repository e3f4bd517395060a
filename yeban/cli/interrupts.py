"""Ctrl-C and its likes: ``SIGINT`` and ``SIGTERM`` both arrive as ``KeyboardInterrupt``."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_STOPPERS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupt_on_sigterm() -> Iterator[None]:
    """Let ``SIGTERM`` raise ``KeyboardInterrupt``, so that a supervisor's stop is as orderly as Ctrl-C."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def hold_interrupts(on_first: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Remember a first interrupt instead of raising it; a second one is raised.

    Yields a function that tells whether one is being held. ``on_first`` runs in the signal handler, and so must
    not do I/O. A signal that is ignored (``nohup``, a shell's background job) stays ignored.
    """
    held = False

    def hold(_number: int, _frame: FrameType | None) -> None:
        nonlocal held
        if held:
            raise KeyboardInterrupt
        held = True
        on_first()

    before = {number: signal.signal(number, hold) for number in _STOPPERS if signal.getsignal(number) != signal.SIG_IGN}
    try:
        yield lambda: held
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
