"""Whose webhooks are whose, how many, and what stays secret."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from yeban.errors import Conflict, InvalidRequest, NotFound
from yeban.viewer import OPEN, Viewer
from yeban.webhooks import deliveries, delivering, endpoints

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
        endpoints.create_webhook(database, "http://127.0.0.1/", private=False)
    assert endpoints.list_webhooks(database) == []


def test_a_team_shares_its_webhooks_and_nobody_else_sees_them(hook, database):
    made = hook(viewer=ALICE).webhook
    assert [webhook.id for webhook in endpoints.list_webhooks(database, viewer=BOB)] == [made.id]
    assert [webhook.id for webhook in endpoints.list_webhooks(database, viewer=OPEN)] == [made.id]
    assert endpoints.list_webhooks(database, viewer=CAROL) == []
    someone_elses = [
        lambda: endpoints.get_webhook(database, made.id, viewer=CAROL),
        lambda: endpoints.delete_webhook(database, made.id, viewer=CAROL),
        lambda: endpoints.rotate_secret(database, made.id, viewer=CAROL),
        lambda: deliveries.list_deliveries(database, made.id, viewer=CAROL),
        lambda: deliveries.try_again(database, made.id, uuid.uuid4(), viewer=CAROL),
        lambda: delivering.send_test(database, made.id, private=True, viewer=CAROL),
        lambda: endpoints.get_webhook(database, uuid.uuid4(), viewer=ALICE),
    ]
    for act in someone_elses:
        with pytest.raises(NotFound):
            act()
    endpoints.delete_webhook(database, made.id, viewer=BOB)
    assert endpoints.list_webhooks(database) == []


def test_a_new_secret_takes_the_place_of_the_old(hook, database, work):
    created = hook()
    secret = endpoints.rotate_secret(database, created.webhook.id)
    assert secret != created.secret
    assert work.column("SELECT secret FROM webhook") == [secret]


def test_there_are_twenty_at_most_for_each_owner_also_at_once(hook, database):
    for _ in range(endpoints.MAX_WEBHOOKS - 1):
        hook(viewer=ALICE)

    def one_more(_):
        try:
            hook(viewer=ALICE)
        except Conflict:
            return 0
        return 1

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(one_more, range(6))) == 1
    hook(viewer=BOB)
    assert len(endpoints.list_webhooks(database)) == endpoints.MAX_WEBHOOKS + 1
