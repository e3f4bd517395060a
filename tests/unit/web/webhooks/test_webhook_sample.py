"""The receiver's side as it is shown to people does what it says."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from web.webhooks.pages import SAMPLE
from yeban.webhooks import signatures

SECRET, BODY = signatures.new_secret(), '{"type":"job.completed","data":"物流"}'.encode()


@pytest.fixture
def verify() -> Callable[..., bool]:
    names: dict[str, Any] = {}
    exec(compile(SAMPLE, "sample", "exec"), names)  # noqa: S102  # ours
    found: Callable[..., bool] = names["verify"]
    return found


def headers(timestamp: float | None = None) -> dict[str, str]:
    return signatures.headers([SECRET], "b1d64c0e", int(time.time() if timestamp is None else timestamp), BODY)


def test_a_message_of_ours_passes(verify):
    assert verify(SECRET, headers(), BODY)


def test_one_of_several_signatures_is_enough(verify):
    several = headers()
    several["webhook-signature"] = f"v1a,abc v1,AAAA {several['webhook-signature']}"
    assert verify(SECRET, several, BODY)


def test_while_a_secret_is_changed_either_will_do(verify):
    former = signatures.new_secret()
    both = signatures.headers([SECRET, former], "b1d64c0e", int(time.time()), BODY)
    assert verify(SECRET, both, BODY)
    assert verify(former, both, BODY)


def test_what_is_old_or_comes_from_the_future_is_refused(verify):
    assert not verify(SECRET, headers(time.time() - 301), BODY)
    assert not verify(SECRET, headers(time.time() + 600), BODY)
    assert verify(SECRET, headers(time.time() - 200), BODY)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", [None, "", "x", "v1,", "物", "1795730402.5"])
def test_headers_that_are_missing_or_junk_are_refused(verify, name, value):
    changed = headers()
    if value is None:
        del changed[name]
    else:
        changed[name] = value
    assert not verify(SECRET, changed, BODY)


def test_another_body_or_secret_is_refused(verify):
    assert not verify(SECRET, headers(), BODY + b" ")
    assert not verify(signatures.new_secret(), headers(), BODY)


def test_it_needs_nothing_but_the_standard_library_and_stands_in_the_document():
    assert [line for line in SAMPLE.splitlines() if line.startswith(("import", "from"))] == [
        "import base64", "import hashlib", "import hmac", "import time",
    ]  # fmt: skip
    document = (Path(__file__).resolve().parents[4] / "docs/webhooks.md").read_text(encoding="utf-8")
    assert f"```python\n{SAMPLE}```" in document
