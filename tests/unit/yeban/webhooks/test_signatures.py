import base64
import re

import pytest

from tests.fixtures.receiver import Received
from yeban.database.tables.states import FINISHED
from yeban.webhooks import signatures
from yeban.webhooks.events import EVENT_OF, Event, body


def test_a_signature_is_the_one_that_the_specification_gives():
    # The example that libraries of Standard Webhooks are tested with.
    found = signatures.signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_secrets_are_long_and_never_the_same():
    made = {signatures.new_secret() for _ in range(50)}
    assert len(made) == 50
    for secret in made:
        assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", secret)
        assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32


@pytest.mark.parametrize("changed", ["id", "timestamp", "body", "secret"])
def test_a_signature_is_of_all_its_parts(changed):
    secret = signatures.new_secret()
    headers = signatures.headers([secret], "msg", 1_700_000_000, b"{}")
    content = b"{}"
    if changed == "body":
        content = b"{ }"
    elif changed == "secret":
        secret = signatures.new_secret()
    else:
        headers = {**headers, f"webhook-{changed}": "1"}
    assert Received("/", signatures.headers([secret], "msg", 1, b"{}"), b"{}").is_signed_by(secret)
    assert not Received("/", headers, content).is_signed_by(secret)


def test_each_of_several_secrets_signs():
    first, second, another = (signatures.new_secret() for _ in range(3))
    received = Received("/", signatures.headers([first, second], "msg", 1, b"{}"), b"{}")
    assert received.headers["webhook-signature"].count(" ") == 1
    assert received.is_signed_by(first)
    assert received.is_signed_by(second)
    assert not received.is_signed_by(another)


def test_every_end_of_a_job_has_an_event():
    assert set(EVENT_OF) == FINISHED
    assert set(EVENT_OF.values()) == set(Event) - {Event.TEST}


def test_a_body_is_the_same_in_whatever_order_the_database_gives_it():
    assert body({"b": 1, "a": {"d": "物", "c": None}}) == body({"a": {"c": None, "d": "物"}, "b": 1})
    assert body({"a": "物"}) == rb'{"a":"\u7269"}'
