"""Whose webhooks are whose, how many, and what stays secret."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tests.fixtures.interleaving import Interleaving
from yeban.accounts.viewer import UNRESTRICTED, Viewer
from yeban.errors import Conflict, InvalidRequest, NotFound
from yeban.webhooks import deliveries, endpoints, notifier

ALICE, BOB = Viewer(name="alice", team="night"), Viewer(name="bob", team="night")
CAROL = Viewer(name="carol")


def test_a_webhook_is_made_and_listed_without_its_secret(hook, database, work):
    created = hook("https://Hooks.example/收?key=geheim", ALICE)
    assert created.secret.startswith("whsec_")
    assert created.secret not in repr(created)
    (listed,) = endpoints.list_webhooks(database, viewer=ALICE)
    assert listed == created.webhook == endpoints.get_webhook(database, created.webhook.id, viewer=ALICE)
    assert listed.url == "https://hooks.example/%E6%94%B6?key=geheim"
    assert (listed.owner, listed.team, listed.waiting, listed.given_up, listed.delivered_at) == (
        "alice", "night", 0, 0, None,
    )  # fmt: skip
    assert work.column("SELECT secret FROM webhook") == [created.secret]


def test_a_url_that_will_not_do_is_not_stored(database):
    with pytest.raises(InvalidRequest):
        endpoints.create_webhook(database, "http://127.0.0.1/", private=False, viewer=UNRESTRICTED)
    assert endpoints.list_webhooks(database, viewer=UNRESTRICTED) == []


def test_a_team_shares_its_webhooks_and_nobody_else_sees_them(hook, database):
    made = hook(viewer=ALICE).webhook
    assert [webhook.id for webhook in endpoints.list_webhooks(database, viewer=BOB)] == [made.id]
    assert [webhook.id for webhook in endpoints.list_webhooks(database, viewer=UNRESTRICTED)] == [made.id]
    assert endpoints.list_webhooks(database, viewer=CAROL) == []
    someone_elses = [
        lambda: endpoints.get_webhook(database, made.id, viewer=CAROL),
        lambda: endpoints.delete_webhook(database, made.id, viewer=CAROL),
        lambda: endpoints.rotate_secret(database, made.id, viewer=CAROL),
        lambda: endpoints.end_former_secrets(database, made.id, viewer=CAROL),
        lambda: deliveries.list_deliveries(database, made.id, viewer=CAROL),
        lambda: deliveries.try_again(database, made.id, uuid.uuid4(), viewer=CAROL),
        lambda: notifier.send_test(database, made.id, private=True, viewer=CAROL),
        lambda: endpoints.get_webhook(database, uuid.uuid4(), viewer=ALICE),
    ]
    for act in someone_elses:
        with pytest.raises(NotFound):
            act()
    endpoints.delete_webhook(database, made.id, viewer=BOB)
    assert endpoints.list_webhooks(database, viewer=UNRESTRICTED) == []


def _signs_with(database, webhook_id):
    with database.begin() as connection:
        return endpoints.find_webhook(connection, webhook_id, viewer=UNRESTRICTED).secrets


def _let_pass(work, hours):
    """As if so many hours had passed."""
    work.execute("UPDATE webhook_former_secret SET until = until - make_interval(hours => :hours)", hours=hours)


def test_a_new_secret_takes_the_place_of_the_old_which_signs_for_a_day_more(hook, database, work):
    created = hook()
    assert created.webhook.former_until is None
    secret = endpoints.rotate_secret(database, created.webhook.id, viewer=UNRESTRICTED)
    assert secret != created.secret
    assert work.column("SELECT secret FROM webhook") == [secret]
    assert _signs_with(database, created.webhook.id) == (secret, created.secret)
    until = endpoints.get_webhook(database, created.webhook.id, viewer=UNRESTRICTED).former_until
    assert timedelta(hours=23, minutes=58) < until - datetime.now(UTC) <= timedelta(hours=24, minutes=2)
    _let_pass(work, 25)
    assert _signs_with(database, created.webhook.id) == (secret,)
    assert endpoints.get_webhook(database, created.webhook.id, viewer=UNRESTRICTED).former_until is None


def test_who_makes_another_secret_at_once_does_not_lose_the_one_that_the_receiver_knows(hook, database):
    created = hook()
    made = [
        created.secret,
        *(endpoints.rotate_secret(database, created.webhook.id, viewer=UNRESTRICTED) for _ in range(2)),
    ]
    assert _signs_with(database, created.webhook.id) == tuple(reversed(made))
    made += [endpoints.rotate_secret(database, created.webhook.id, viewer=UNRESTRICTED) for _ in range(4)]
    assert _signs_with(database, created.webhook.id) == tuple(reversed(made[-5:]))


def test_former_secrets_end_at_once_where_somebody_asks_for_it(hook, database, work):
    created, other = hook(), hook()
    secret = endpoints.rotate_secret(database, created.webhook.id, viewer=UNRESTRICTED)
    endpoints.rotate_secret(database, other.webhook.id, viewer=UNRESTRICTED)
    for _ in range(2):
        endpoints.end_former_secrets(database, created.webhook.id, viewer=UNRESTRICTED)
        assert _signs_with(database, created.webhook.id) == (secret,)
    assert work.column("SELECT secret FROM webhook_former_secret") == [other.secret]


def test_former_secrets_are_not_kept_for_longer_than_they_sign(hook, database, work):
    created = hook()
    endpoints.rotate_secret(database, created.webhook.id, viewer=UNRESTRICTED)
    assert endpoints.forget_former_secrets(database) == 0
    _let_pass(work, 25)
    assert endpoints.forget_former_secrets(database) == 1
    assert work.column("SELECT secret FROM webhook_former_secret") == []
    endpoints.rotate_secret(database, created.webhook.id, viewer=UNRESTRICTED)
    endpoints.delete_webhook(database, created.webhook.id, viewer=UNRESTRICTED)
    assert work.column("SELECT secret FROM webhook_former_secret") == []


def test_there_are_twenty_at_most_for_each_owner_also_at_once(hook, database):
    for _ in range(endpoints.MAX_WEBHOOKS - 1):
        hook(viewer=ALICE)

    with Interleaving(database) as interleaving:
        actors = interleaving.run([lambda: hook(viewer=ALICE)] * 2, [0, 1] * 10)
    assert [type(actor.error) for actor in actors if actor.error] == [Conflict]
    hook(viewer=BOB)
    assert len(endpoints.list_webhooks(database, viewer=UNRESTRICTED)) == endpoints.MAX_WEBHOOKS + 1
