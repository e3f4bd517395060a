"""Answers of the API, held against those recorded once.

``recorded/requests.json`` has the requests, ``recorded/answers.json`` the answers; ``RECORD=1`` writes these anew. A
request has a method with its path, and ``json``, ``form`` with ``files``, or ``body`` with its ``type``. ``keep`` names
values of its answer; ``${name}`` puts one into what follows, ``${x*9}`` is nine x. Other steps are no requests.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openpyxl
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.fixtures.jobs import Work
from tests.fixtures.receiver import FakeReceiver

_FOLDER = Path(__file__).parent / "recorded"
_ANSWERS = _FOLDER / "answers.json"
_RECORDED = json.loads((_FOLDER / "requests.json").read_text("utf-8"))
_FILES: Mapping[str, Any] = _RECORDED["files"]
_SCENES: list[dict[str, Any]] = _RECORDED["scenes"]

_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_HEADERS = (
    "Allow", "Cache-Control", "Content-Disposition", "Content-Type", "ETag", "Idempotent-Replayed", "Link", "Location",
    "Retry-After", "Vary", "WWW-Authenticate",
)  # fmt: skip
_WORKBOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_LEFT_OUT = frozenset({"/api/v1/openapi.json", "/metrics"})  # tested elsewhere

_NOTHING = "00000000-0000-4000-8000-000000000000"
_PLACE = re.compile(r"\$\{(\w+)(?:\*(\d+))?\}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Values that differ from run to run. Moments of this century are now; those that requests name are of a later one.
_VOLATILE = (
    (re.compile(r"(?<!such as )(?<!for example )20\d\d-\d\d-\d\d([T ])\d\d:\d\d:\d\d(?:\.\d+)?"), r"<date>\1<time>"),
    (re.compile(r"whsec_[A-Za-z0-9+/]{43}="), "<secret>"),
    (re.compile(r"Try again in \d+ s"), "Try again in <seconds> s"),
    (re.compile(r"this version needs \d+"), "this version needs <revision>"),
)
_DURATIONS = frozenset({"eta_s", "ms", "retry_after_s", "rows_per_s", "seconds", "total_ms"})


@dataclass(frozen=True, kw_only=True)
class Masks:
    """Names for what differs from run to run; a scene has ``kept`` some."""

    kept: dict[str, str]
    uuids: dict[str, str] = field(default_factory=dict)

    def of(self, value: Any, name: str = "") -> Any:
        """Replace what is volatile by names, whatever the order of keys."""
        if isinstance(value, dict):
            return {key: self.of(value[key], key) for key in sorted(value)}
        if isinstance(value, list):
            return [self.of(item) for item in value]
        if isinstance(value, str):
            shown = self._of_text(value)
            return "<cursor>" if name == "next_cursor" and not shown.startswith("<") else shown
        return f"<{name}>" if name in _DURATIONS and value is not None else value

    def _of_text(self, value: str) -> str:
        for name, kept in sorted(self.kept.items(), key=lambda item: -len(item[1])):
            value = value.replace(kept, f"<{name}>")
        for pattern, shown in _VOLATILE:
            value = pattern.sub(shown, value)
        return _UUID.sub(lambda found: self.uuids.setdefault(found[0], f"<uuid:{len(self.uuids) + 1}>"), value)


@dataclass(frozen=True, kw_only=True)
class Player:
    """Player of a scene; ``drivers`` do what is no request."""

    client: FlaskClient
    drivers: Mapping[str, Callable[[Any], object]]
    tokens: Mapping[str, str]
    kept: dict[str, str]

    def play(self, scene: dict[str, Any]) -> dict[str, Any]:
        """The answers to a scene's requests, by their names."""
        masks = Masks(kept=self.kept)
        answers: dict[str, Any] = {}
        for step in scene["steps"]:
            if "name" in step:
                answers[step["name"]] = self._answer(step, masks)
                continue
            [(driver, given)] = step.items()
            self.drivers[driver](self._filled(given))
        return answers

    def _answer(self, step: dict[str, Any], masks: Masks) -> dict[str, Any]:
        method = _method(step)
        with self.client.open(self._filled(step[method]), method=method, **self._options(step)) as response:
            body = _body(response)
            for name, place in step.get("keep", {}).items():
                self.kept[name] = _at(body, place)
            return {
                "request": f"{method} {step[method]}",
                "status": response.status_code,
                "headers": masks.of(_headers(response, body)),
                "body": masks.of(body),
            }

    def _options(self, step: dict[str, Any]) -> dict[str, Any]:
        headers = self._filled(step.get("headers", {}))
        if "as" in step:
            headers["Authorization"] = f"Bearer {self.tokens[step['as']]}"
        options: dict[str, Any] = {"headers": headers}
        if "json" in step:
            options |= {"data": json.dumps(self._filled(step["json"])), "content_type": "application/json"}
        elif "form" in step or "files" in step:
            options["data"] = self._filled(step.get("form", {})) | self._files(step.get("files", {}))
        elif "body" in step:
            options["data"] = step["body"]
        if "type" in step:
            options["content_type"] = step["type"]
        if "length" in step:
            options["environ_overrides"] = {"CONTENT_LENGTH": str(step["length"])}
        return options

    def _files(self, names: dict[str, Any]) -> dict[str, Any]:
        sent: dict[str, Any] = {}
        for place, given in names.items():
            for name in given if isinstance(given, list) else [given]:
                content = _content(name)
                self.kept[f"sha256 of {name}"] = hashlib.sha256(content).hexdigest()
                sent.setdefault(place, []).append((io.BytesIO(content), name))
        return sent

    def _filled(self, value: Any) -> Any:
        if isinstance(value, str):
            return _PLACE.sub(lambda found: found[1] * int(found[2]) if found[2] else self.kept[found[1]], value)
        if isinstance(value, list):
            return [self._filled(item) for item in value]
        return {key: self._filled(item) for key, item in value.items()} if isinstance(value, dict) else value


def _method(step: dict[str, Any]) -> str:
    [method] = _METHODS & step.keys()
    return method


def _at(body: Any, place: str) -> str:
    """Value at a place of an answer, like ``deliveries.0.id``."""
    try:
        return str(functools.reduce(lambda part, key: part[int(key) if key.isdigit() else key], place.split("."), body))
    except (IndexError, KeyError, TypeError):
        return f"no {place}"  # the answer differs, and says so


@functools.cache
def _content(name: str) -> bytes:
    given = _FILES[name]
    if isinstance(given, str):
        return _PLACE.sub(lambda found: found[1] * int(found[2]), given).encode()
    if "text" in given:
        return str(given["text"]).encode(given["encoding"])
    workbook, content = openpyxl.Workbook(), io.BytesIO()
    workbook.remove(workbook.active)
    for title, rows in given["sheets"].items():
        sheet = workbook.create_sheet(title)
        for row in rows:
            sheet.append(row)
    workbook.save(content)
    return content.getvalue()


def _headers(response: TestResponse, body: Any) -> dict[str, str]:
    headers = {name: response.headers[name] for name in _HEADERS if name in response.headers}
    if "Allow" in headers:
        headers["Allow"] = ", ".join(sorted(headers["Allow"].split(", ")))
    if "Retry-After" in headers and body["code"] == "rate_limited":
        headers["Retry-After"] = re.sub(r"^\d+$", "<seconds>", headers["Retry-After"])
    return headers


def _body(response: TestResponse) -> Any:
    """Content of an answer: JSON, the rows of a workbook, or lines."""
    if response.mimetype in {"application/json", "application/problem+json"} and response.data:
        return json.loads(response.data)
    if response.mimetype == _WORKBOOK and response.data:
        sheets = openpyxl.load_workbook(io.BytesIO(response.data)).worksheets
        return {sheet.title: [list(row) for row in sheet.iter_rows(values_only=True)] for sheet in sheets}
    return response.text.replace("\ufeff", "<bom>").splitlines(keepends=True) or None


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    started = FakeReceiver()
    yield started
    started.stop()


@pytest.fixture
def play(make_app, start_worker, tag, live_worker, work: Work, receiver: FakeReceiver) -> Callable[..., dict[str, Any]]:
    """Play a scene on an app and servers of its own."""

    def answer(request: Any, replies: Mapping[str, Any]) -> bytes:
        count = len(request.label_set["labels"])
        scores = [round(2 * (count - place) / (count * (count + 1)), 6) for place in range(count)]
        reply = {"scores": scores, "model": request.model, "queue_ms": 0.5, "inference_ms": 2.0}
        engine = {"fingerprint": "f" * 16, "precision": "int8", "session": "openvino"}
        return json.dumps(reply | engine | replies.get(request.text, {})).encode()

    def end(job: str) -> None:
        work.execute("UPDATE job SET state = 'finishing' WHERE public_id = :job", job=job)
        [number] = work.column("SELECT id FROM job WHERE public_id = :job", job=job)
        work.end(SimpleNamespace(internal_id=number))

    drivers: dict[str, Callable[[Any], object]] = {
        "beat": lambda given: live_worker(*given),
        "end": end,
        "receiver": lambda status: setattr(receiver, "behave", status),
        "sql": lambda statement: work.execute(statement.replace(":", r"\:")),
        "tag": tag,
        "worker": lambda replies: start_worker(lambda request: answer(request, replies)),
    }

    def play_scene(scene: dict[str, Any]) -> dict[str, Any]:
        accounts: dict[str, list[str]] = scene.get("accounts", {})
        app = make_app(accounts=bool(accounts), **scene.get("settings", {}))
        tokens = {name: _sign_up(work, name, *facts) for name, facts in accounts.items()}
        kept = {"nothing": _NOTHING, "receiver": receiver.url("")}
        return Player(client=app.test_client(), drivers=drivers, tokens=tokens, kept=kept).play(scene)

    return play_scene


def _sign_up(work: Work, name: str, role: str, team: str) -> str:
    """Make an account with a token; returns the token."""
    prefix = name.ljust(10, "a")
    token = f"yeban_{prefix}_{'x' * 43}"
    values = {"name": name, "role": role, "team": team, "prefix": prefix, "token": token}
    work.execute(
        "WITH made AS (INSERT INTO account (name, password_hash, role, team) VALUES (:name, 'none', :role, :team)"
        " RETURNING *) INSERT INTO api_token (account_id, name, prefix, sha256)"
        " SELECT id, name, :prefix, encode(sha256(CAST(:token AS bytea)), 'hex') FROM made",
        **values,
    )
    return token


def _recorded() -> dict[str, Any]:
    return dict(json.loads(_ANSWERS.read_text("utf-8"))) if _ANSWERS.exists() else {}


def _lines(answer: Any) -> list[str]:
    return json.dumps(answer, ensure_ascii=False, indent=1, sort_keys=True).splitlines()


def _difference(name: str, before: Any, after: Any) -> str:
    """A heading with the request, and the difference; blank without any."""
    lines = list(difflib.unified_diff(_lines(before), _lines(after), "recorded", "answered", lineterm="", n=2))
    return "\n".join([f"{name}: {(after or before)['request']}", *lines]) if lines else ""


@pytest.mark.parametrize("scene", _SCENES, ids=[scene["name"] for scene in _SCENES])
def test_answers_are_as_recorded(play, scene):
    answers = play(scene)
    if os.environ.get("RECORD"):
        known = _recorded()
        recorded = {each["name"]: known.get(each["name"]) for each in _SCENES} | {scene["name"]: answers}
        _ANSWERS.write_text(json.dumps(recorded, ensure_ascii=False, indent=1, sort_keys=True) + "\n", "utf-8")
    before = _recorded()[scene["name"]]
    found = [_difference(name, before.get(name), answers.get(name)) for name in before | answers]
    if differences := "\n\n".join(filter(None, found)):
        pytest.fail(differences, pytrace=False)


def test_every_route_is_asked_and_answers_well_and_badly(app: Flask):
    answered: dict[tuple[str, str], set[bool]] = {
        (rule.rule, method): set()
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(("/api/", "/healthz", "/readyz")) and rule.rule not in _LEFT_OUT
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    adapter = app.url_map.bind("localhost")
    for answer in (answer for scene in _recorded().values() for answer in scene.values()):
        method, _, path = _PLACE.sub(_NOTHING, answer["request"]).partition("?")[0].partition(" ")
        if adapter.test(path, method):
            rule, _ = adapter.match(path, method, return_rule=True)
            answered.get((rule.rule, method), set()).add(answer["status"] < 400)
    assert [route for route, well in answered.items() if True not in well] == []
    assert [route for route, well in answered.items() if False not in well and route[0] != "/healthz"] == []
