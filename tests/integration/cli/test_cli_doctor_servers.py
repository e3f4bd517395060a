"""``yeban doctor`` on a database that is configured."""

from __future__ import annotations

import pytest

from yeban.accounts import people
from yeban.cli import doctor
from yeban.settings import Settings

URL = "postgresql://127.0.0.1:1/none"


@pytest.fixture
def findings(work, tmp_path):
    """What doctor finds in the database, by part."""
    url = work.database.engine.url.render_as_string(hide_password=False)

    def find(**settings):
        found = doctor._database(url, Settings(data_dir=tmp_path, **settings))
        return {finding.what: (finding.state, finding.detail) for finding in found}

    return find


def test_accounts_are_looked_at_only_where_they_are_asked_for(findings, work):
    assert "accounts" not in findings()
    state, detail = findings(accounts=True)["accounts"]
    assert state == "problem"
    assert "yeban account add" in detail
    assert findings(accounts=True, admin_password="a long one")["accounts"][0] == "note"
    people.create_account(work.database, "boss", "correct horse battery", role=people.Role.MEMBER)
    assert findings(accounts=True)["accounts"][0] == "ok"


def test_messages_that_nobody_sends_are_told_of(findings, work):
    work.completed(1)
    work.execute("INSERT INTO webhook (url, secret) VALUES ('https://example.com', 's')")
    work.execute(
        "INSERT INTO webhook_delivery (webhook_id, job_id, event, payload, next_at)"
        " SELECT webhook.id, job.id, 'job.completed', '{}', now() FROM webhook, job"
    )
    assert "webhooks" not in findings()
    work.execute("UPDATE webhook_delivery SET next_at = now() - interval '6 minutes'")
    assert findings()["webhooks"] == (
        "note",
        "1 messages are overdue; check that a bulk worker runs, and read its log",
    )


def test_a_database_that_is_away_is_a_problem(tmp_path):
    (found,) = doctor._database(URL, Settings(data_dir=tmp_path))
    assert (found.what, found.state) == ("PostgreSQL", "problem")
