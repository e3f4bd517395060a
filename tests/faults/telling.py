"""What must hold of webhooks after a run: every end of a job was told, once, under the right name, and arrived."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg

from tests.faults.invariants import Tally, key_of
from tests.faults.users import Users
from tests.fixtures.receiver import Received
from yeban.webhooks.events import body

_COMPLETED = ("completed", "completed_with_errors")


def is_told(connection: psycopg.Connection[dict[str, Any]]) -> bool:
    """Whether no end is still to be told, and no message on its way."""
    return not connection.execute(
        "SELECT FROM webhook_delivery WHERE next_at IS NOT NULL UNION ALL SELECT FROM job"
        " WHERE ended_at IS NOT NULL AND (announced_at IS NULL OR announced_at < ended_at) LIMIT 1"
    ).fetchall()


def check_telling(connection: psycopg.Connection[dict[str, Any]], users: Users, received: Sequence[Received]) -> Tally:
    """Check the deliveries of every job against its end, and against what the receiver got."""
    tally = Tally(received=len(received))
    arrived = _check_received(tally, users, received)
    for job in connection.execute("SELECT * FROM job ORDER BY id").fetchall():
        found = connection.execute(
            "SELECT * FROM webhook_delivery WHERE job_id = %s ORDER BY id", [job["id"]]
        ).fetchall()
        _check_job(tally, job, found, users)
        for delivery in found:
            tally.told += 1
            message_id = str(delivery["public_id"])
            if delivery["delivered_at"] is None or arrived.pop(message_id, None) != body(delivery["payload"]):
                tally.violation(f"message {message_id} of job {job['public_id']} did not arrive as it was made")
    gone = {str(job_id) for job_id in users.deleted.values()}
    for one in received:
        if one.id in arrived and one.json["data"]["id"] not in gone:
            tally.violation(f"a message arrived that nobody made: {one.id}")
    return tally


def _check_received(tally: Tally, users: Users, received: Sequence[Received]) -> dict[str, bytes]:
    """The bodies that came, by id: a message that comes again must be the same, and each is signed."""
    bodies: dict[str, bytes] = {}
    for one in received:
        if not one.is_signed_by(users.webhook["secret"]):
            tally.violation(f"message {one.id} is not signed")
        if bodies.setdefault(one.id, one.body) != one.body:
            tally.violation(f"message {one.id} came with another body")
    return bodies


def _check_job(tally: Tally, job: dict[str, Any], found: Sequence[dict[str, Any]], users: Users) -> None:
    name = f"job {job['public_id']}"
    moments = Counter(datetime.fromisoformat(delivery["payload"]["timestamp"]) for delivery in found)
    if any(times > 1 for times in moments.values()):
        tally.violation(f"{name}: an end was told under two ids")
    last = [one for one in found if datetime.fromisoformat(one["payload"]["timestamp"]) == job["ended_at"]]
    if not last:
        tally.violation(f"{name}: its end was told to nobody")
        return
    told, asked = last[0]["payload"], users.asked[key_of(job)]
    if told["type"] != f"job.{job['state']}" or told["data"]["id"] != str(job["public_id"]):
        tally.violation(f"{name} is {job['state']}, and {told} was told")
    if job["state"] in _COMPLETED:
        facts = (told["data"]["rows"], told["data"]["done"], told["data"]["errors"])
        if facts != (len(asked.texts), len(asked.texts), len(asked.errors)):
            tally.violation(f"{name}: its end was told with {told}")
