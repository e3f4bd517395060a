"""A webhook, from the API to its receiver, by real processes."""

from __future__ import annotations

import json
from urllib.request import Request, urlopen

from tests.e2e.conftest import Yeban
from tests.fixtures.receiver import FakeReceiver, Received
from tests.fixtures.waiting import wait_until


def test_the_end_of_a_job_is_told(up: Yeban) -> None:
    receiver = FakeReceiver()
    try:
        request = Request(  # noqa: S310  # ours
            f"{up.running_url()}/api/v1/webhooks",
            data=json.dumps({"url": receiver.url()}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urlopen(request, timeout=60) as answer:  # noqa: S310  # ours
            secret = json.load(answer)["secret"]
        path = up.work_dir / "told.csv"
        path.write_text("text\n包裹三天没动了\n", encoding="utf-8")
        job = up.json("job", "submit", path, "--labels", "物流,退款", "--text-column", "text")

        def of_the_job() -> list[Received]:
            return [each for each in receiver.received if each.json["data"]["id"] == job["id"]]

        wait_until(of_the_job, what="the message")
    finally:
        receiver.stop()
    (got,) = of_the_job()
    assert got.is_signed_by(secret)
    assert got.json["type"] == "job.completed"
