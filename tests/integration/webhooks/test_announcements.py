"""From ended jobs to deliveries, exactly once."""

import json

import numpy as np
import pytest

from tests.fixtures.fake_classifier import FakeClassifier
from tests.fixtures.interleaving import Interleaving
from tests.fixtures.jobs import Made
from worker.tasks.finish_job import JobFinisher
from worker.tasks.models import Models
from yeban.accounts.viewer import UNRESTRICTED, Viewer
from yeban.errors import msg
from yeban.jobs import control
from yeban.jobs.retention import delete_job
from yeban.labels import LabelSet
from yeban.results import refinement_data
from yeban.results.completion import finish_job
from yeban.webhooks import endpoints
from yeban.webhooks.announcements import announce

ALICE, BOB = Viewer(name="alice", team="night"), Viewer(name="bob", team="night")
CAROL = Viewer(name="carol")


def told(work):
    """Events by the number of their webhook, in order."""
    return work.column("SELECT webhook_id || ' ' || event FROM webhook_delivery ORDER BY id")


def urls_told(work):
    return work.column(
        "SELECT url FROM webhook_delivery JOIN webhook ON webhook.id = webhook_id ORDER BY webhook_delivery.id"
    )


def payloads(work):
    return work.column("SELECT payload FROM webhook_delivery ORDER BY id")


def own(work, job, viewer):
    work.execute(
        "UPDATE job SET owner = :owner, team = :team WHERE id = :id",
        id=job.internal_id,
        owner=viewer.name,
        team=viewer.team,
    )


@pytest.fixture
def made_file(work):
    """A job that can be refined, scored to the end, and what ends it."""
    random = np.random.default_rng(7)
    kind = np.repeat(np.arange(2), 60)
    vectors = np.eye(2, 16)[kind] + 0.1 * random.standard_normal((len(kind), 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = np.where(kind[:, None] == np.arange(2), 0.7, 0.3)
    lines = [f"{'ab'[of]} {number},甲" for number, of in enumerate(kind)]
    made = Made(lines=lines, scores=scores.astype(np.float32), vectors=vectors.astype(np.float32))
    job = work.scored(made, label_set=LabelSet.of("甲,乙"))
    return job, JobFinisher(database=work.database, models=Models(lambda _name: FakeClassifier()))


@pytest.fixture
def accounts(work):
    for viewer in (ALICE, BOB, CAROL):
        work.execute(
            "INSERT INTO account (name, password_hash, role, team) VALUES (:name, '', 'member', :team)",
            name=viewer.name,
            team=viewer.team,
        )


def test_an_end_is_told_once_to_each_webhook(work, hook, database):
    hook()
    hook()
    job = work.completed(10)
    assert announce(database) == 2
    assert announce(database) == 0
    assert [line.split(" ")[1] for line in told(work)] == ["job.completed"] * 2
    assert payloads(work)[0] == payloads(work)[1]
    assert work.column("SELECT next_at <= now() FROM webhook_delivery") == [True, True]
    view = work.view(job)
    assert payloads(work)[0] == {
        "type": "job.completed",
        "timestamp": view.times["ended_at"].isoformat(),
        "data": {
            "id": str(job.id),
            "state": "completed",
            "rows": 10,
            "done": 10,
            "ok": 10,
            "abstained": 0,
            "errors": 0,
            "model": "e5-small",
            "created_at": view.times["created_at"].isoformat(),
            "ended_at": view.times["ended_at"].isoformat(),
            "path": f"/api/v1/jobs/{job.id}",
        },
    }


def test_what_has_not_ended_is_not_told(work, hook, database):
    hook()
    job = work.job(4)
    work.claim(work.chunk_ids(job))
    paused = work.job(4)
    control.pause(database, paused.id, viewer=UNRESTRICTED)
    assert announce(database) == 0


def test_every_way_to_end_has_its_event(work, hook, database, sweep):
    hook()
    work.completed(["a,甲", ",甲"])
    control.cancel(database, work.job(4).id, viewer=UNRESTRICTED)
    control.fail_job(database, work.job(4).internal_id, msg("The engine failed: 包裹三天没动了"))
    late = work.job(4)
    work.execute("UPDATE job SET expires_at = now() - interval '1 s' WHERE id = :id", id=late.internal_id)
    sweep()
    announce(database)
    assert [line.split(" ")[1] for line in told(work)] == [
        "job.completed_with_errors",
        "job.cancelled",
        "job.failed",
        "job.expired",
    ]


def test_counts_are_of_what_was_done(work, hook, database):
    hook()
    job = work.job(["a,甲", ",甲", "c,甲", "d,甲"], chunk_rows=2)
    work.finish(work.claim(work.chunk_ids(job)[:1]))
    control.cancel(database, job.id, viewer=UNRESTRICTED)
    announce(database)
    data = payloads(work)[0]["data"]
    assert {name: data[name] for name in ("rows", "done", "ok", "abstained", "errors")} == {
        "rows": 4, "done": 2, "ok": 1, "abstained": 0, "errors": 1,
    }  # fmt: skip


def test_nothing_that_stands_in_a_ticket_or_names_its_file_is_told(work, hook, database):
    hook()
    work.completed(["包裹三天没动了,甲", ",甲"])
    failed = work.job(["退款一直没到账,甲"])
    control.fail_job(database, failed.internal_id, msg("The engine failed: 退款一直没到账"))
    announce(database)
    said = json.dumps(payloads(work), ensure_ascii=False)
    assert len(payloads(work)) == 2
    for secret in ("包裹", "退款", "甲", "made.csv"):
        assert secret not in said


def test_a_job_that_is_resumed_and_ends_again_is_told_again(work, hook, database):
    hook()
    job = work.job(4)
    control.cancel(database, job.id, viewer=UNRESTRICTED)
    announce(database)
    control.resume(database, job.id, viewer=UNRESTRICTED)
    assert announce(database) == 0
    work.finish(work.claim(work.chunk_ids(job)))
    assert finish_job(database, job.internal_id)
    announce(database)
    assert [line.split(" ")[1] for line in told(work)] == ["job.cancelled", "job.completed"]


def test_a_job_that_is_resumed_is_told_again_though_the_clock_was_set_back(work, hook, database):
    hook()
    job = work.job(4)
    control.cancel(database, job.id, viewer=UNRESTRICTED)
    announce(database)
    work.execute("UPDATE job SET announced_at = now() + interval '1 hour', ended_at = now() + interval '1 hour'")
    control.resume(database, job.id, viewer=UNRESTRICTED)
    control.cancel(database, job.id, viewer=UNRESTRICTED)
    announce(database)
    assert [line.split(" ")[1] for line in told(work)] == ["job.cancelled"] * 2


def test_an_end_in_the_future_is_told_once(work, hook, database):
    """As it is where the clock was set back between the end and its telling."""
    hook()
    work.completed(4)
    work.execute("UPDATE job SET ended_at = now() + interval '1 hour'")
    assert [announce(database), announce(database)] == [1, 0]


def test_a_job_that_is_refined_again_is_not_told_again(work, hook, database, made_file):
    hook()
    job, end_job = made_file
    assert end_job(job.internal_id)
    assert announce(database) == 1
    refinement_data.ask_again(database, job.id, viewer=UNRESTRICTED)
    assert announce(database) == 0
    assert end_job(job.internal_id)
    assert announce(database) == 0


def test_a_job_that_is_refined_again_before_it_was_told_is_told_at_its_end(work, hook, database, made_file):
    hook()
    job, end_job = made_file
    assert end_job(job.internal_id)
    refinement_data.ask_again(database, job.id, viewer=UNRESTRICTED)
    assert announce(database) == 0
    assert end_job(job.internal_id)
    assert announce(database) == 1


def test_ends_before_the_first_webhook_are_no_news(work, hook, database):
    work.completed(4)
    assert announce(database) == 0
    hook()
    assert announce(database) == 0


def test_more_ends_than_are_told_at_a_time(work, hook, database, monkeypatch):
    monkeypatch.setattr("yeban.webhooks.announcements._BATCH", 2)
    hook()
    for _ in range(5):
        work.completed(1)
    assert announce(database) == 5
    assert announce(database) == 0


@pytest.mark.usefixtures("accounts")
def test_a_webhook_is_told_of_the_jobs_of_its_owner_or_team(work, hook, database):
    hooks = {
        name: hook(f"https://{name}.example/", viewer).webhook
        for name, viewer in {
            "alice": ALICE, "bob-alone": Viewer(name="bob"), "carol": CAROL, "nobody": Viewer(name=""),
        }.items()
    }  # fmt: skip
    # The last is of a member of the team, but was made before they were one.
    jobs = {viewer: work.completed(1) for viewer in (ALICE, BOB, CAROL, Viewer(name=""), Viewer(name="alice"))}
    for viewer, job in jobs.items():
        own(work, job, viewer)
    announce(database)
    found = work.column(
        "SELECT url || ' ' || job.owner FROM webhook_delivery JOIN webhook ON webhook.id = webhook_id"
        " JOIN job ON job.id = job_id ORDER BY 1"
    )
    assert found == [
        "https://alice.example/ alice",  # of a team, so of all of its jobs
        "https://alice.example/ bob",
        "https://bob-alone.example/ bob",
        "https://carol.example/ carol",
        "https://nobody.example/ ",
    ]
    assert len(hooks) == 4


@pytest.mark.usefixtures("accounts")
def test_a_disabled_account_is_told_nothing_more(work, hook, database):
    hook("https://carol.example/", CAROL)
    hook("https://gone.example/", Viewer(name="gone"))
    hook("https://alice.example/", ALICE)
    hook("https://bob.example/", BOB)
    work.execute("UPDATE account SET disabled_at = now() WHERE name IN ('alice', 'carol')")
    for viewer in (CAROL, Viewer(name="gone"), BOB):
        own(work, work.completed(1), viewer)
    announce(database)
    assert urls_told(work) == ["https://bob.example/"]


@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize("team", ["", "day"])
def test_who_has_left_a_team_is_told_nothing_more_of_it(work, hook, database, team):
    hook("https://alice.example/", ALICE)
    hook("https://bob.example/", BOB)
    work.execute("UPDATE account SET team = :team WHERE name = 'alice'", team=team)
    own(work, work.completed(1), BOB)
    announce(database)
    assert urls_told(work) == ["https://bob.example/"]
    # Back again, and so is what the webhook tells.
    work.execute("UPDATE account SET team = 'night' WHERE name = 'alice'")
    own(work, work.completed(1), BOB)
    announce(database)
    assert urls_told(work) == ["https://bob.example/", "https://alice.example/", "https://bob.example/"]


@pytest.mark.usefixtures("accounts")
def test_an_admin_is_told_of_a_team_that_is_not_theirs_until_they_are_none(work, hook, database):
    hook("https://carol.example/", Viewer(name="carol", team="night", sees_all=True))
    work.execute("UPDATE account SET role = 'admin' WHERE name = 'carol'")
    own(work, work.completed(1), BOB)
    announce(database)
    assert urls_told(work) == ["https://carol.example/"]
    work.execute("UPDATE account SET role = 'member' WHERE name = 'carol'")
    own(work, work.completed(1), BOB)
    announce(database)
    assert urls_told(work) == ["https://carol.example/"]


def test_a_deleted_job_takes_its_deliveries_along(work, hook, database):
    hook()
    job = work.completed(4)
    announce(database)
    delete_job(database, job.id, viewer=UNRESTRICTED)
    work.execute("DELETE FROM job")
    assert told(work) == []


@pytest.mark.parametrize("turns", [[0, 1] * 20, [0, 0, 1, 1] * 10, [0, 1, 1, 1, 1, 1, 1, 0], [1, 1, 1, 0, 0, 0] * 4])
def test_two_who_tell_at_once_tell_each_end_once(work, hook, database, turns):
    hook()
    for _ in range(3):
        work.completed(1)
    with Interleaving(database) as interleaving:
        actors = interleaving.run([lambda: announce(database)] * 2, turns)
    assert [actor.error for actor in actors] == [None, None]
    assert sum(actor.result for actor in actors) == 3
    assert len(told(work)) == 3


@pytest.mark.parametrize("turns", [[0, 1] * 20, [0, 0, 0, 1, 1, 1] * 4, [1, 1, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0] * 4])
def test_a_webhook_that_is_deleted_meanwhile_is_no_failure(work, hook, database, turns):
    kept, deleted = hook().webhook, hook().webhook
    work.completed(1)
    with Interleaving(database) as interleaving:
        actors = interleaving.run(
            [lambda: announce(database), lambda: endpoints.delete_webhook(database, deleted.id, viewer=UNRESTRICTED)],
            turns,
        )
    assert [actor.error for actor in actors] == [None, None]
    assert len(told(work)) == 1
    assert [webhook.id for webhook in endpoints.list_webhooks(database, viewer=UNRESTRICTED)] == [kept.id]


def test_a_failure_in_between_leaves_all_of_it_to_be_told(work, hook, database, monkeypatch):
    hook()
    work.completed(1)
    with monkeypatch.context() as patched:
        patched.setattr("yeban.webhooks.announcements._mark_announced", None)
        with pytest.raises(TypeError):
            announce(database)
    assert told(work) == []
    assert announce(database) == 1
