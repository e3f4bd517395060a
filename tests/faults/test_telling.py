"""What is told to webhooks is checked: each way in which that can go wrong is found."""

from __future__ import annotations

from dataclasses import replace

import pytest


def test_an_end_that_was_told_has_no_violation(told):
    tally = told.check()
    assert tally.violations == []
    assert (tally.told, tally.received) == (1, 1)


TAMPERINGS = {
    "nobody was told": "DELETE FROM webhook_delivery",
    "it did not arrive": "UPDATE webhook_delivery SET delivered_at = NULL",
    "another message was made": "UPDATE webhook_delivery SET public_id = gen_random_uuid()",
    "another state": "UPDATE webhook_delivery SET payload = jsonb_set(payload, '{type}', '\"job.failed\"')",
    "another job": "UPDATE webhook_delivery SET payload = jsonb_set(payload, '{data,id}', '\"x\"')",
    "another count": "UPDATE webhook_delivery SET payload = jsonb_set(payload, '{data,done}', '7')",
    "an earlier end": "UPDATE job SET ended_at = ended_at + interval '1 second'",
    "told twice": "INSERT INTO webhook_delivery (webhook_id, job_id, event, payload)"
    " SELECT webhook_id, job_id, event, payload FROM webhook_delivery",
}


@pytest.mark.parametrize("statement", TAMPERINGS.values(), ids=TAMPERINGS.keys())
def test_a_violation_is_found(told, work, statement):
    work.execute(statement)
    assert told.check().violations


def test_what_arrives_must_be_signed_and_the_same_each_time(told):
    (message,) = told.received
    told.received.append(replace(message, body=message.body + b" "))
    assert sorted(violation.rpartition(" ")[2] for violation in told.check().violations) == ["body", "signed"]


def test_what_came_of_a_deleted_job_is_not_foreign(told, tagged, work):
    work.execute("DELETE FROM job")
    assert [violation for violation in told.check().violations if "nobody made" in violation]
    tagged.users.deleted |= tagged.users.jobs
    assert told.check().violations == []
