"""Which server a command talks to."""

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
    """A server to talk to. ``check()`` raises when it is ours and a part of it has been given up."""

    url: str
    check: Callable[[], None]


@contextmanager
def database_url(settings: Settings) -> Iterator[str]:
    """The database that is configured, or runs here, or is started for the length of the block."""
    from yeban.runtime.servers import open_servers, running_endpoints  # noqa: PLC0415 - heavy

    endpoints = running_endpoints(settings)
    if endpoints is not None:
        yield endpoints.database_url
    else:
        with open_servers(settings) as started:
            yield started.database_url


@contextmanager
def reach_server(given: str | None, *, model: str | None = None, say: Callable[[str], None]) -> Iterator[Reached]:
    """The server named, the one running on this machine, or one started for this command, serving ``model``.

    A server that one command started may be used by others meanwhile; it is stopped when the last of them is done.
    ``say`` is told what is being waited for.
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
        # The lock is let go when the stack is down, so that nobody joins in the meantime.
        with run_stack(settings, port=0) as stack, _outlasting_guests(book, say):
            yield Reached(url=stack.url, check=stack.check)


def open_client(url: str) -> Client:
    """A client that signs in with the configured token, if there is one."""
    return Client(url, token=get_settings().token)


def existing_server_url(given: str | None) -> str:
    """The server named, the one running on this machine, or the default address."""
    settings = get_settings()
    return given or settings.server or running_url(settings) or local_url(settings.host, settings.port)


def _join(settings: Settings, book: int, say: Callable[[str], None]) -> str | None:
    """Become a guest of the stack that runs, and return its URL; or become the one to start it, and return None.

    Waits while another command starts or stops one.
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
    """Let guests in, and wait for them at the end, whether it went well or not, but not against a Ctrl-C."""
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
    """A file that each guest holds a shared lock on, and the host an exclusive one while it starts and stops.

    The kernel lets go of a lock however its process ends.
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
