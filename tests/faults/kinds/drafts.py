"""Files handed in at the page: kept as drafts, and then made jobs of, while the web or the database dies."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable

from tests.faults.background import Background
from tests.faults.kinds.registry import Scene, fault
from tests.faults.kinds.servers import end_postmaster
from tests.faults.kinds.web import break_off, kill_web, strike_web
from tests.faults.pages import Person
from tests.faults.stage import Slot
from tests.faults.users import ANSWER_S, Asked

_ROWS = 2_000
_WITHIN_S = 0.4


def _begin(scene: Scene, rng: random.Random) -> tuple[Person, Asked]:
    person = Person(scene.users)
    person.open_upload_page()
    return person, scene.users.next_file(rng, rows=_ROWS)


def _have_tagged(person: Person, asked: Asked) -> None:
    place = person.upload(asked)
    person.press(place, person.form_of(place, asked), asked)


@fault("kill -9 of the web in mid-body of a draft", "web")
def kill_in_mid_draft(scene: Scene, rng: random.Random, slot: Slot) -> None:
    person, asked = _begin(scene, rng)
    try:
        break_off(scene, rng, person.request_to_upload(asked))
        if (place := person.waiting(asked)) is not None:
            scene.users.api.violations.append(f"half of a file waits to be tagged: {place}")
    finally:
        _have_tagged(person, asked)


@fault("kill -9 of the web while it stores a draft", "web")
def kill_while_storing_a_draft(scene: Scene, rng: random.Random, slot: Slot) -> None:
    person, asked = _begin(scene, rng)
    uploading = Background(lambda: _forget(person.upload_once(asked)), name="draft")
    uploading.start()
    scene.pause(rng.uniform(0, _WITHIN_S))
    strike_web(scene, lambda: kill_web(scene))
    uploading.wait(4 * ANSWER_S)
    _have_tagged(person, asked)


def _while_it_becomes_a_job(scene: Scene, rng: random.Random, strike: Callable[[], None]) -> None:
    person, asked = _begin(scene, rng)
    place = person.upload(asked)
    form = person.form_of(place, asked)
    pressing = Background(lambda: person.press_once(place, form), name="press")
    pressing.start()
    scene.pause(rng.uniform(0, _WITHIN_S))
    strike()
    pressing.wait(4 * ANSWER_S)
    person.press(place, form, asked)


@fault("kill -9 of the web while a draft becomes a job", "web")
def kill_web_at_start(scene: Scene, rng: random.Random, slot: Slot) -> None:
    _while_it_becomes_a_job(scene, rng, lambda: strike_web(scene, lambda: kill_web(scene)))


@fault("kill -9 of the postmaster while a draft becomes a job", "postgres")
def kill_postmaster_at_start(scene: Scene, rng: random.Random, slot: Slot) -> None:
    _while_it_becomes_a_job(scene, rng, lambda: end_postmaster(scene, signal.SIGKILL))


@fault("kill -9 of the web while a draft waits", "web")
def kill_web_with_a_draft_waiting(scene: Scene, rng: random.Random, slot: Slot) -> None:
    person, asked = _begin(scene, rng)
    place = person.upload(asked)
    form = person.form_of(place, asked)
    strike_web(scene, lambda: kill_web(scene))
    person.press(place, form, asked)


def _forget(_place: str | None) -> None:
    """Whoever uploaded does not see the answer."""
