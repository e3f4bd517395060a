"""Webhooks through the API and the pages."""

from __future__ import annotations

import html
import logging
import re
import threading
import uuid

import pytest
from sqlalchemy import text

from tests.fixtures.receiver import FakeReceiver
from tests.fixtures.waiting import wait_until
from web.server.admission import Admission
from web.webhooks import test_message
from yeban.accounts.viewer import UNRESTRICTED, Viewer
from yeban.errors import msg
from yeban.webhooks import endpoints
from yeban.webhooks.announcements import announce
from yeban.webhooks.notifier import Notifier

API = "/api/v1/webhooks"
SECRET = re.compile(r"whsec_[A-Za-z0-9+/]{43}=")
NAMES = {"id", "url", "owner", "team", "created_at", "waiting", "given_up", "delivered_at", "former_until"}


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"webhook_private_addresses": True})


@pytest.fixture
def receiver():
    receiver = FakeReceiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def made(client, receiver):
    return client.post(API, json={"url": receiver.url("/hook?key=geheim")}).json


@pytest.fixture
def told(client, made, database, job_id, tag):
    """A delivery that waits; returns its id."""
    tag(job_id)
    assert announce(database) == 1
    return client.get(f"{API}/{made['id']}/deliveries").json["deliveries"][0]["id"]


@pytest.fixture
def someone_elses(database):
    return endpoints.create_webhook(
        database, "https://other.example/geheim", private=True, viewer=Viewer(name="other", team="day")
    ).webhook.id


@pytest.fixture
def as_member(app):
    """Let whoever asks be a member, not somebody who sees all."""

    def be(name="alice", team=""):
        def identify():
            from flask import g

            g.viewer = Viewer(name=name, team=team)

        app.before_request_funcs[None].append(identify)

    return be


def page_secret(page):
    return SECRET.search(html.unescape(page))


def test_a_webhook_is_made_listed_and_deleted(client):
    response = client.post(API, json={"url": "https://Hooks.example/yeban"})
    assert (response.status_code, set(response.json)) == (201, NAMES | {"secret"})
    assert SECRET.fullmatch(response.json["secret"])
    assert response.headers["Cache-Control"] == "no-store"
    (listed,) = client.get(API).json["webhooks"]
    assert listed == {name: value for name, value in response.json.items() if name != "secret"}
    assert listed["url"] == "https://hooks.example/yeban"
    assert client.delete(f"{API}/{listed['id']}").status_code == 204
    assert client.get(API).json == {"webhooks": []}
    assert client.delete(f"{API}/{listed['id']}").status_code == 404


@pytest.mark.parametrize("body", [{}, {"url": 1}, {"url": "x"}, {"url": "https://a.example/", "secret": "mine"}])
def test_a_body_that_will_not_do_is_refused(client, body):
    response = client.post(API, json=body)
    assert (response.status_code, response.json["code"]) == (422, "invalid_request")
    assert client.get(API).json == {"webhooks": []}


def test_private_addresses_want_the_setting(make_app):
    client = make_app(webhook_private_addresses=False).test_client()
    for url in ("http://127.0.0.1:1/geheim", "https://10.0.0.1/geheim", "http://example.com/geheim"):
        response = client.post(API, json={"url": url})
        assert (response.status_code, response.json["field"]) == (422, "url")
        assert "geheim" not in response.text


def test_a_new_secret_signs_from_then_on_and_the_old_until_it_is_ended(client, made, receiver):
    assert made["former_until"] is None
    renewed = client.post(f"{API}/{made['id']}/rotate")
    assert set(renewed.json) == NAMES | {"secret"}
    assert renewed.json["secret"] != made["secret"]
    assert client.get(API).json["webhooks"][0]["former_until"] == renewed.json["former_until"] is not None
    client.post(f"{API}/{made['id']}/test")
    assert receiver.received[0].is_signed_by(renewed.json["secret"])
    assert receiver.received[0].is_signed_by(made["secret"])
    for _ in range(2):
        ended = client.delete(f"{API}/{made['id']}/former-secrets")
        assert (ended.status_code, ended.text) == (204, "")
    assert client.get(API).json["webhooks"][0]["former_until"] is None
    client.post(f"{API}/{made['id']}/test")
    assert receiver.received[1].is_signed_by(renewed.json["secret"])
    assert not receiver.received[1].is_signed_by(made["secret"])


def test_a_test_is_sent_and_its_answer_told(client, made, receiver):
    arrived = client.post(f"{API}/{made['id']}/test").json
    assert (arrived["delivered"], arrived["status"], arrived["error"]) == (True, 200, None)
    assert arrived["ms"] > 0
    assert receiver.received[0].is_signed_by(made["secret"])
    assert receiver.received[0].json["type"] == "webhook.test"
    receiver.behave = 500
    refused = client.post(f"{API}/{made['id']}/test").json
    assert (refused["delivered"], refused["status"], refused["error"]) == (False, 500, "not_accepted")


def test_only_so_many_tests_are_sent_at_a_time(app, client, made, receiver, monkeypatch):
    monkeypatch.setattr(test_message, "_TESTS", Admission(msg("webhook tests"), most=1))
    receiver.behave = lambda _: receiver.leave.wait(120)
    first = threading.Thread(target=lambda: app.test_client().post(f"{API}/{made['id']}/test"))
    first.start()
    wait_until(lambda: receiver.received, what="the first test")
    refused = client.post(f"{API}/{made['id']}/test")
    assert (refused.status_code, refused.json["code"]) == (429, "overloaded")
    assert client.post(f"/webhooks/{made['id']}/test").status_code == 429
    receiver.leave.set()
    first.join(120)


def test_deliveries_are_paged_and_sent_again(client, made, told, receiver, database, job_id):
    url = f"{API}/{made['id']}/deliveries"
    (waiting,) = client.get(url).json["deliveries"]
    assert (waiting["event"], waiting["job"], waiting["state"], waiting["attempt"]) == (
        "job.completed_with_errors", job_id, "waiting", 0,
    )  # fmt: skip
    assert client.get(API).json["webhooks"][0]["waiting"] == 1
    notifier = Notifier(database, private=True)
    notifier.turn()
    notifier.stop(120)
    (arrived,) = client.get(url, query_string={"limit": 1}).json["deliveries"]
    assert (arrived["state"], arrived["attempt"], arrived["status"], arrived["error"], arrived["next_at"]) == (
        "delivered", 1, 200, None, None,
    )  # fmt: skip
    assert receiver.received[0].id == arrived["id"] == told
    again = client.post(f"{url}/{told}/retry")
    assert (again.status_code, again.json["state"], again.json["attempt"]) == (202, "waiting", 0)
    assert client.post(f"{url}/{uuid.uuid4()}/retry").status_code == 404


def test_a_cursor_leads_to_the_older_ones(client, made, database, upload, tag):
    jobs = [upload(name=f"{number}.csv").json["id"] for number in range(3)]
    for job in jobs:
        tag(job)
        announce(database)
    url = f"{API}/{made['id']}/deliveries"
    first = client.get(url, query_string={"limit": 2}).json
    rest = client.get(url, query_string={"limit": 2, "cursor": first["next_cursor"]}).json
    assert [one["job"] for one in first["deliveries"] + rest["deliveries"]] == jobs[::-1]
    assert rest["next_cursor"] is None
    assert client.get(url, query_string={"cursor": "x"}).status_code == 422
    assert client.get(url, query_string={"limit": 0}).status_code == 422


def test_what_is_someone_elses_is_not_there(client, someone_elses, as_member):
    as_member()
    number = someone_elses
    assert client.get(API).json == {"webhooks": []}
    assert "other.example" not in client.get("/webhooks").text
    for path in (f"{API}/{number}/rotate", f"{API}/{number}/test", f"{API}/{number}/deliveries/{number}/retry"):
        assert client.post(path).status_code == 404
    assert client.get(f"{API}/{number}/deliveries").status_code == 404
    for path in (f"{API}/{number}", f"{API}/{number}/former-secrets"):
        assert client.delete(path).status_code == 404
    assert client.get(f"/webhooks/{number}").status_code == 404
    for path in ("delete", "rotate", "end-former", "test", f"deliveries/{number}/retry"):
        assert client.post(f"/webhooks/{number}/{path}").status_code == 404


def test_what_is_made_belongs_to_whoever_made_it_and_their_team(client, someone_elses, as_member):
    as_member("alice", "day")
    made = client.post(API, json={"url": "https://mine.example/"}).json
    assert (made["owner"], made["team"]) == ("alice", "day")
    assert len(client.get(API).json["webhooks"]) == 2, "the team's is there too"
    assert client.delete(f"{API}/{someone_elses}").status_code == 204


def test_who_has_left_a_team_does_not_see_its_jobs_in_what_was_told(client, database, told, made, as_member):
    with database.begin() as connection:
        connection.execute(text("UPDATE job SET owner = 'carol', team = 'east', source_name = 'geheim.csv'"))
        connection.execute(text("UPDATE webhook SET owner = 'dave', team = 'east'"))
        job = str(connection.scalar(text("SELECT public_id FROM job")))
    as_member("dave", "west")
    page = client.get(f"/webhooks/{made['id']}")
    listed = client.get(f"{API}/{made['id']}/deliveries")
    assert page.status_code == listed.status_code == 200
    assert [(each["id"], each["job"]) for each in listed.json["deliveries"]] == [(told, None)]
    for said in (page.text, listed.text):
        assert "geheim.csv" not in said
        assert job not in said
    assert "a job that you can't see" in page.text
    assert "Send again" not in page.text
    assert client.post(f"{API}/{made['id']}/deliveries/{told}/retry").status_code == 404
    assert client.post(f"/webhooks/{made['id']}/deliveries/{told}/retry").status_code == 404
    as_member("dave", "east")
    assert "geheim.csv" in client.get(f"/webhooks/{made['id']}").text
    assert client.get(f"{API}/{made['id']}/deliveries").json["deliveries"][0]["job"] == job
    assert client.post(f"{API}/{made['id']}/deliveries/{told}/retry").status_code == 202


def test_the_twenty_first_is_refused(client, database):
    for _ in range(20):
        endpoints.create_webhook(database, "https://a.example/", private=True, viewer=UNRESTRICTED)
    response = client.post(API, json={"url": "https://a.example/"})
    assert (response.status_code, response.json["code"]) == (409, "conflict")
    page = client.post("/webhooks", data={"url": "https://b.example/"})
    assert page.status_code == 409
    assert "https://b.example/" in page.text


def test_the_page_makes_one_and_shows_its_secret_this_once(client):
    assert "Add a webhook" in client.get("/webhooks").text
    added = client.post("/webhooks", data={"url": "https://hooks.example/yeban"})
    assert added.status_code == 201
    assert added.headers["Cache-Control"] == "no-store"
    assert page_secret(added.text)
    (webhook,) = client.get(API).json["webhooks"]
    assert webhook["url"] == "https://hooks.example/yeban"
    for path in ("/webhooks", f"/webhooks/{webhook['id']}"):
        page = client.get(path).text
        assert "https://hooks.example/yeban" in page
        assert page_secret(page) is None


def test_the_page_shows_what_was_wrong_beside_what_was_entered(client):
    page = client.post("/webhooks", data={"url": 'https://a b/"><script>'})
    assert page.status_code == 422
    assert 'value="https://a b/&#34;&gt;&lt;script&gt;"' in page.text
    assert 'role="alert"' in page.text
    assert client.post("/webhooks", data={}).status_code == 422


def test_the_page_renews_the_secret(client, made):
    page = client.post(f"/webhooks/{made['id']}/rotate")
    found = page_secret(page.text)
    assert found
    assert found[0] != made["secret"]
    assert page.headers["Cache-Control"] == "no-store"


def test_the_page_says_how_long_the_old_secret_signs_and_ends_it(client, made):
    path = f"/webhooks/{made['id']}"
    assert "old secret" not in re.sub(r'data-confirm="[^"]*"', "", client.get(path).text)
    assert "messages are also signed with the old secret" in client.post(f"{path}/rotate").text
    page = client.get(path).text
    assert "Also signed with the old secret until" in page
    assert f'action="{path}/end-former"' in page
    assert client.post(f"{path}/end-former").headers["Location"] == path
    assert "old secret" not in re.sub(r'data-confirm="[^"]*"', "", client.get(path).text)


def test_the_page_sends_a_test_and_says_how_that_went(client, made, receiver):
    url = f"/webhooks/{made['id']}/test"
    assert "The test message arrived: status 200." in client.post(url).text
    receiver.behave = 403
    assert "not accepted: status 403" in client.post(url).text
    receiver.stop()
    assert "did not arrive: the connection was refused" in html.unescape(client.post(url).text)


def test_the_page_deletes(client, made):
    response = client.post(f"/webhooks/{made['id']}/delete")
    assert (response.status_code, response.headers["Location"]) == (303, "/webhooks")
    assert client.get(API).json == {"webhooks": []}


def test_the_page_lists_what_was_sent_and_sends_it_again(client, made, told, receiver, database):
    path = f"/webhooks/{made['id']}"
    assert "not sent yet" in client.get(path).text
    receiver.behave = 500
    notifier = Notifier(database, private=True)
    notifier.turn()
    notifier.stop(120)
    page = client.get(path).text
    assert "500 · the receiver didn" in page
    assert 'class="state waiting"' in page
    assert client.post(f"{path}/deliveries/{told}/retry").headers["Location"] == path
    assert client.get(f"{API}/{made['id']}/deliveries").json["deliveries"][0]["attempt"] == 0


def test_forms_without_their_token_change_nothing(client, made):
    ends = ("delete", "rotate", "end-former")
    for path in ("/webhooks", *(f"/webhooks/{made['id']}/{end}" for end in ends)):
        assert client.post(path, data={"url": "https://a.example/"}, headers={"X-CSRF-Token": ""}).status_code == 403
    assert [webhook["id"] for webhook in client.get(API).json["webhooks"]] == [made["id"]]


def test_every_failure_has_words(client, made, told, database):
    from sqlalchemy import text

    from yeban.webhooks.failures import Failure

    for failure in Failure:
        with database.begin() as connection:
            connection.execute(text("UPDATE webhook_delivery SET error = :error"), {"error": failure.value})
        page = client.get(f"/webhooks/{made['id']}").text
        assert re.search(r'<td class="answer">\w[^<]+</td>', page)
        assert "_" not in re.search(r'<td class="answer">([^<]+)</td>', page)[1]


def test_neither_secret_nor_path_is_logged(client, receiver, caplog):
    caplog.set_level(logging.DEBUG)
    made = client.post(API, json={"url": receiver.url("/geheim")}).json
    client.post(f"{API}/{made['id']}/test")
    renewed = client.post(f"{API}/{made['id']}/rotate").json
    said = "\n".join(str(vars(record)) for record in caplog.records)
    for secret in ("geheim", made["secret"], renewed["secret"]):
        assert secret not in said
