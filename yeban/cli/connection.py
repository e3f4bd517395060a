"""Connections of commands to a server."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from yeban.client import Client
from yeban.errors import ConfigurationError, msg
from yeban.runtime.local_url import local_url
from yeban.runtime.stack import run_stack, running_url
from yeban.settings import Settings, get_settings, load_settings

_GUESTS = "stack.lock"
_POLL_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Reached:
    """A server. ``check()`` raises if this command started it and a restart cannot help a part of it."""

    url: str
    check: Callable[[], None]


@contextmanager
def reach_server(given: str | None, *, model: str | None = None, say: Callable[[str], None]) -> Iterator[Reached]:
    """The given server, the one on this machine, or one started for this command with ``model``.

    Other commands may join a server that one command started; it stops when the last of them is done. ``say`` receives
    progress messages.
    """
    settings = get_settings() if model is None else load_settings(model=model)
    given = given or settings.server
    if given is not None:
        yield Reached(url=given, check=lambda: None)
        return
    with _guest_book(settings) as book:
        url = _join(settings, book, say)
        if url is not None:
            yield Reached(url=url, check=lambda: None)
            return
        # The lock is released after the stack has stopped, so that no guest joins a stopping stack.
        with run_stack(settings, port=0) as stack, _outlasting_guests(book, say):
            yield Reached(url=stack.url, check=stack.check)


def open_client(url: str) -> Client:
    """A client with the configured token, if any."""
    return Client(url, token=get_settings().token)


def existing_server_url(given: str | None) -> str:
    """URL of the given server, the one on this machine, or the default address."""
    settings = get_settings()
    return given or settings.server or running_url(settings) or local_url(settings.host, settings.port)


def _join(settings: Settings, book: int, say: Callable[[str], None]) -> str | None:
    """Join the running stack and return its URL, or take the lock to start one and return None.

    Waits while another command starts or stops the stack.
    """
    waiting = False
    while True:
        if running_url(settings) is not None and _locked(book, fcntl.LOCK_SH):
            if (url := running_url(settings)) is not None:
                return url
            fcntl.flock(book, fcntl.LOCK_UN)
        elif _locked(book, fcntl.LOCK_EX):
            return None
        if not waiting:
            say("Waiting for another command that starts or stops the servers…")
            waiting = True
        time.sleep(_POLL_S)


@contextmanager
def _outlasting_guests(book: int, say: Callable[[str], None]) -> Iterator[None]:
    """Admit guests, and wait for them at the end, also after an error but not after Ctrl-C."""
    fcntl.flock(book, fcntl.LOCK_UN)
    try:
        yield
    except Exception:
        _await_guests(book, say)
        raise
    _await_guests(book, say)


def _await_guests(book: int, say: Callable[[str], None]) -> None:
    if _locked(book, fcntl.LOCK_EX):
        return
    say("Waiting for other commands that use the servers started here (Ctrl-C stops them)…")
    while not _locked(book, fcntl.LOCK_EX):
        time.sleep(_POLL_S)


@contextmanager
def _guest_book(settings: Settings) -> Iterator[int]:
    """Open the lock file: guests hold a shared lock, the host an exclusive one while it starts and stops.

    The kernel releases the locks of a process that dies.
    """
    path = settings.data_dir / _GUESTS
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        book = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(
            msg(
                "Cannot use the data directory %(data_dir)s: %(reason)s. Make it writable to the user "
                "running Yeban, or set YEBAN_DATA_DIR to another path.",
                data_dir=settings.data_dir,
                reason=error.strerror,
            )
        ) from error
    try:
        yield book
    finally:
        os.close(book)


def _locked(book: int, kind: int) -> bool:
    try:
        fcntl.flock(book, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
