"""Interrupts: ``SIGINT`` and ``SIGTERM`` both raise ``KeyboardInterrupt``."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_STOPPERS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupt_on_sigterm() -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` on ``SIGTERM``, so that commands stop in order as on Ctrl-C."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def hold_interrupts(on_first: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Hold the first interrupt instead of raising it; raise the second one.

    Yields a function that returns whether one is held. ``on_first`` runs in the signal handler and must not do I/O.
    Ignored signals (``nohup``, background jobs of a shell) stay ignored.
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
