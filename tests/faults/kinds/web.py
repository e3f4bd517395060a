"""The web process killed, also in the midst of an upload."""

from __future__ import annotations

import random
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.faults.background import Background
from tests.faults.kinds.registry import NotStruck, Scene, fault
from tests.faults.stage import Slot
from tests.faults.users import ANSWER_S, upload_options
from tests.fixtures.waiting import wait_until

_UPLOAD_ROWS = 2_000
_BACK_WITHIN_S = 180.0


def strike_web(scene: Scene, hurt: Callable[[], None]) -> None:
    """Hurt the web, and let nobody count its silence as a failure until it answers again."""
    stage = scene.stage
    stage.web_hurt.begin()
    hurt()

    def answers() -> bool:
        try:
            return httpx.get(f"{stage.url}/healthz", timeout=ANSWER_S, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    wait_until(answers, timeout_s=_BACK_WITHIN_S, what="a web that answers again")
    stage.web_hurt.end()


def kill_web(scene: Scene) -> None:
    web = scene.stage.web
    pid = web.pid
    web.send(signal.SIGKILL, pid)
    web.await_end_of(pid)


def break_off(scene: Scene, rng: random.Random, request: httpx.Request) -> None:
    """Send a part of ``request`` and kill the web. Raises :class:`NotStruck` where it did not take that."""
    body = request.read()
    target = request.url.raw_path.decode("ascii")
    head = f"{request.method} {target} HTTP/1.1\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    parts = urlsplit(scene.stage.url)
    try:
        with socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=ANSWER_S) as connection:
            connection.sendall(head.encode() + b"\r\n" + body[: int(len(body) * rng.uniform(0.1, 0.99))])
            strike_web(scene, lambda: kill_web(scene))
    except OSError as error:
        raise NotStruck("the web did not accept the upload") from error


@fault("kill -9 of the web in mid-body of an upload", "web")
def kill_in_mid_body(scene: Scene, rng: random.Random, slot: Slot) -> None:
    asked = scene.users.next_file(rng, rows=_UPLOAD_ROWS)
    request = httpx.Client(trust_env=False).build_request(
        "POST", f"{scene.stage.url}/api/v1/jobs", **upload_options(asked)
    )
    break_off(scene, rng, request)
    _upload_twice(scene, asked.key)


@fault("kill -9 of the web while it stores an upload", "web")
def kill_while_storing(scene: Scene, rng: random.Random, slot: Slot) -> None:
    asked = scene.users.next_file(rng, rows=_UPLOAD_ROWS)

    def upload() -> None:
        with httpx.Client(base_url=f"{scene.stage.url}/api/v1", timeout=ANSWER_S, trust_env=False) as http:
            try:
                http.post("/jobs", **upload_options(asked))
            except httpx.HTTPError:
                return

    uploading = Background(upload, name="upload")
    uploading.start()
    scene.pause(rng.uniform(0, 0.4))
    strike_web(scene, lambda: kill_web(scene))
    uploading.wait(4 * ANSWER_S)
    _upload_twice(scene, asked.key)


@fault("kill -9 of a process of the web", "web")
def kill_web_child(scene: Scene, rng: random.Random, slot: Slot) -> None:
    master = scene.stage.web.pid
    children = Path(f"/proc/{master}/task/{master}/children").read_text(encoding="ascii").split()
    if not children:
        raise NotStruck("the web had no child process")

    def kill() -> None:
        scene.stage.web.send(signal.SIGKILL, int(children[0]))

    strike_web(scene, kill)


def _upload_twice(scene: Scene, key: str) -> None:
    """The same upload with its key succeeds, exactly once."""
    scene.users.upload(scene.users.asked[key], times=2)
