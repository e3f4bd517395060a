"""A person at the pages: hands a file in as a draft, and has it tagged."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable, Collection
from typing import Any

import httpx
import psycopg

from tests.faults.users import ANSWER_S, NEW_CONNECTIONS, PAUSE_S, TRIES, Asked, Users
from tests.fixtures.page_checker import form_fields
from tests.fixtures.waiting import wait_until

_TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


class Person:
    """Has a browser with a session of its own, and tries again whatever fails in passing."""

    def __init__(self, users: Users) -> None:
        self._users = users
        self._api = users.api
        self._http = httpx.Client(
            base_url=users.api.stage.url, timeout=ANSWER_S, limits=NEW_CONNECTIONS, trust_env=False
        )
        self._pause = threading.Event()
        self._token = ""

    def open_upload_page(self) -> None:
        """Look at the page of uploads, which begins the session."""
        found = _TOKEN.search(self._until(lambda: self._once("GET", "/upload"), {200}).text)
        assert found is not None, "the page has no token"
        self._token = found[1]

    def request_to_upload(self, asked: Asked) -> httpx.Request:
        """The request that hands ``asked`` in."""
        return self._http.build_request("POST", "/upload", **self._file(asked))

    def upload_once(self, asked: Asked) -> str | None:
        """Hand ``asked`` in; the address of its page, or ``None`` where that failed."""
        response = self._once("POST", "/upload", **self._file(asked))
        return response.headers["Location"] if response is not None and response.status_code == 303 else None

    def upload(self, asked: Asked) -> str:
        """Hand ``asked`` in, unless it lies there already; the address of its page."""
        for _ in range(TRIES):
            if (place := self.waiting(asked) or self.upload_once(asked)) is not None:
                return place
            self._pause.wait(PAUSE_S)
        raise AssertionError(f"{asked.key} could not be handed in at the page in {TRIES} tries")

    def waiting(self, asked: Asked) -> str | None:
        """The address of the page of ``asked`` if it waits; the page of uploads has none while the database is away."""
        found = wait_until(lambda: self._drafts(asked), timeout_s=TRIES * PAUSE_S, what="a database that answers")
        return f"/upload/{found[0]}" if found[0] else None

    def _drafts(self, asked: Asked) -> list[Any]:
        """A list of one: the draft of ``asked``, or ``None``. It is empty where the database does not answer."""
        try:
            with self._api.stage.connect() as connection:
                ids = connection.execute("SELECT public_id FROM draft WHERE name = %s", [f"{asked.key}.csv"]).fetchall()
        except psycopg.OperationalError:
            return []
        if len(ids) > 1:
            self._api.violations.append(f"{asked.key} waits {len(ids)} times")
        return [ids[0]["public_id"] if ids else None]

    def form_of(self, place: str, asked: Asked) -> dict[str, Any]:
        """The form of a draft's page as it comes, filled in."""
        page = self._until(lambda: self._once("GET", place), {200}).text
        return {**form_fields(page, "draft"), **asked.fields(), "csrf_token": self._token}

    def press_once(self, place: str, form: dict[str, Any]) -> None:
        """Press the button, whatever comes of it."""
        self._once("POST", place, data=form)

    def press(self, place: str, form: dict[str, Any], asked: Asked) -> None:
        """Press the button until there is a job."""
        response = self._until(lambda: self._once("POST", place, data=form), {303})
        self._users.made(asked, str(uuid.UUID(response.headers["Location"].rpartition("/")[2])))

    def _file(self, asked: Asked) -> dict[str, Any]:
        return {"data": {"csrf_token": self._token}, "files": {"file": (f"{asked.key}.csv", asked.content())}}

    def _until(self, ask: Callable[[], httpx.Response | None], wanted: Collection[int]) -> httpx.Response:
        for _ in range(TRIES):
            response = ask()
            if response is not None and response.status_code in wanted:
                return response
            self._pause.wait(PAUSE_S)
        raise AssertionError(f"no page as wanted in {TRIES} tries; the last was {response!r}")

    def _once(self, method: str, path: str, **options: Any) -> httpx.Response | None:
        """Ask once; ``None`` where there was no answer at all."""
        response = self._api.ask(self._http, method, path, **options)
        # A database without room is told as such; where no worker tells that it is alive, its models are not known.
        may_be = {409, 422, 429, 503, 507}
        if response is not None and response.status_code >= 400 and response.status_code not in may_be:
            self._api.violations.append(f"{method} {path}: {response.status_code} {response.text[-200:]}")
        return response
