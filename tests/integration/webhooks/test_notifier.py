"""From deliveries to receivers: at least once, signed, with patience, and to each at its own pace."""

import logging
import time
import uuid

import pytest

from tests.fixtures.collector import run_collector
from tests.fixtures.scraping import Counting
from tests.fixtures.waiting import wait_until
from yeban.accounts.viewer import UNRESTRICTED, Viewer
from yeban.errors import NotFound
from yeban.settings import Settings
from yeban.telemetry import tracing
from yeban.webhooks import deliveries, endpoints
from yeban.webhooks import notifier as delivering
from yeban.webhooks.announcements import announce
from yeban.webhooks.deliveries import DELAYS_S, LEASE_S, DeliveryState
from yeban.webhooks.failures import Failure
from yeban.webhooks.sender import LIMIT_S


@pytest.fixture
def told(work, hook, database, receiver):
    """A webhook to the receiver, and a job whose end is to be told to it."""
    created = hook(receiver.url())
    work.completed(4)
    assert announce(database) == 1
    return created


def of(database, created):
    return deliveries.list_deliveries(database, created.webhook.id, viewer=UNRESTRICTED).deliveries


def let_pass(work, seconds):
    """As if the clock had gone on."""
    work.execute("UPDATE webhook_delivery SET next_at = next_at - make_interval(secs => :s)", s=seconds)


def wait_s(work):
    (found,) = work.column("SELECT extract(epoch FROM next_at - now()) FROM webhook_delivery")
    return float(found)


def test_a_message_arrives_signed_and_is_not_sent_again(told, receiver, database, notify):
    notify()
    notify()
    (got,) = receiver.received
    assert got.is_signed_by(told.secret)
    assert not got.is_signed_by("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert abs(int(got.headers["webhook-timestamp"]) - time.time()) < 60
    assert (got.json["type"], got.json["data"]["rows"]) == ("job.completed", 4)
    (delivery,) = of(database, told)
    assert got.id == str(delivery.id)
    assert (delivery.state, delivery.status, delivery.attempt, delivery.error, delivery.next_at) == (
        DeliveryState.DELIVERED, 200, 1, None, None,
    )  # fmt: skip
    assert endpoints.get_webhook(database, told.webhook.id, viewer=UNRESTRICTED).delivered_at == delivery.delivered_at


def test_a_try_is_traced_without_what_may_be_a_secret(work, hook, database, receiver, notify):
    with run_collector() as collector:
        tracing.start(Settings(otlp_endpoint=collector.url), "tests", "1")
        created = hook(receiver.url("/a-secret-path"))
        work.completed(4)
        announce(database)
        receiver.behave = 503
        notify()
        let_pass(work, 10)
        receiver.behave = 200
        notify()
        tracing.stop()
    failed, arrived = sorted(collector.named("tell a webhook"), key=lambda span: span.attributes["yeban.attempt"])
    (delivery,) = of(database, created)
    assert (failed.failed, failed.attributes["http.response.status_code"]) == ("not_accepted", 503)
    assert (arrived.failed, arrived.attributes["http.response.status_code"]) == (None, 200)
    assert arrived.attributes["yeban.delivery.id"] == str(delivery.id) == receiver.received[0].id
    assert arrived.attributes["server.address"] == f"127.0.0.1:{receiver.port}"
    assert not [body for body in collector.raw if b"secret" in body or created.secret.encode() in body]
    assert "traceparent" not in receiver.received[0].headers


def test_what_failed_is_tried_again_under_the_same_id_for_three_days_and_then_given_up(
    told, receiver, work, database, notify
):
    receiver.behave = 500
    waits, took = [], []
    for number in range(1, len(DELAYS_S) + 1):
        started = time.monotonic()
        notify()
        (delivery,) = of(database, told)
        assert (delivery.state, delivery.attempt, delivery.status, delivery.error) == (
            DeliveryState.WAITING, number, 500, "not_accepted",
        )  # fmt: skip
        waits.append(wait_s(work))
        took.append(time.monotonic() - started)
        work.execute("UPDATE webhook_delivery SET next_at = now() + interval '60 s'")
        notify()
        assert len(receiver.received) == number, "it came too early"
        let_pass(work, 61)
    for wait, taken, delay in zip(waits, took, DELAYS_S, strict=True):
        assert delay - taken <= wait <= 1.2 * delay
    assert 3 * 86_400 <= sum(DELAYS_S) <= 3.5 * 86_400
    notify()
    (delivery,) = of(database, told)
    assert (delivery.state, delivery.attempt) == (DeliveryState.GIVEN_UP, len(DELAYS_S) + 1)
    assert endpoints.get_webhook(database, told.webhook.id, viewer=UNRESTRICTED).given_up == 1
    let_pass(work, 1e6)
    notify()
    assert len(receiver.received) == len(DELAYS_S) + 1
    assert len({(got.id, got.body) for got in receiver.received}) == 1
    assert all(got.is_signed_by(told.secret) for got in receiver.received)


def test_while_a_secret_is_changed_messages_are_signed_with_both(told, receiver, database, notify):
    secret = endpoints.rotate_secret(database, told.webhook.id, viewer=UNRESTRICTED)
    notify()
    (got,) = receiver.received
    assert got.is_signed_by(secret)
    assert got.is_signed_by(told.secret)
    assert not got.is_signed_by("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")


def test_a_message_that_is_late_is_signed_with_the_time_of_its_sending(told, receiver, work, notify, monkeypatch):
    receiver.behave = 500
    notify()
    let_pass(work, 10)
    monkeypatch.setattr(delivering.time, "time", lambda: 2_000_000_000.9)
    notify()
    assert receiver.received[1].headers["webhook-timestamp"] == "2000000000"
    assert receiver.received[1].is_signed_by(told.secret)


def test_a_receiver_that_is_away_comes_back(told, receiver, work, database, notify):
    receiver.behave = 503
    notify()
    receiver.behave = 200
    let_pass(work, 10)
    notify()
    (delivery,) = of(database, told)
    assert (delivery.state, delivery.attempt, delivery.status, delivery.error) == (
        DeliveryState.DELIVERED, 2, 200, None,
    )  # fmt: skip


def test_gone_is_gone(told, receiver, work, database, hook, notify):
    other = hook(receiver.url("/other"))
    for _ in range(3):
        work.completed(1)
    announce(database)
    receiver.behave = lambda handler: handler.wfile.write(
        b"HTTP/1.1 %d X\r\n\r\n" % (410 if handler.path == "/hook" else 200)
    )
    wait_until(
        lambda: notify() or not endpoints.get_webhook(database, other.webhook.id, viewer=UNRESTRICTED).waiting,
        what="all sent",
    )
    assert [got.path for got in receiver.received].count("/hook") == 1
    assert {(found.state, found.error) for found in of(database, told)} == {(DeliveryState.GIVEN_UP, "gone")}
    assert sorted(found.status or 0 for found in of(database, told)) == [0, 0, 0, 410]
    assert {found.state for found in of(database, other)} == {DeliveryState.DELIVERED}


def test_a_sender_that_dies_before_it_can_say_so_costs_a_second_copy_under_the_same_id(
    told, receiver, work, database, start_notifier, notify, monkeypatch
):
    with monkeypatch.context() as patched:
        patched.setattr(deliveries, "record", lambda *_: (_ for _ in ()).throw(SystemExit))
        patched.setattr(delivering.threading, "excepthook", lambda _: None)
        dying = start_notifier()
        dying.turn()
        wait_until(lambda: not dying._serving, what="the end of the sender")
    assert len(receiver.received) == 1
    notify()
    assert len(receiver.received) == 1, "it is leased"
    let_pass(work, LEASE_S + 1)
    notify()
    first, second = receiver.received
    assert (first.id, first.body) == (second.id, second.body)
    (delivery,) = of(database, told)
    assert (delivery.state, delivery.attempt) == (DeliveryState.DELIVERED, 2)


def test_a_lease_outlasts_a_try():
    assert LEASE_S > 2 * LIMIT_S


def test_a_try_that_was_overtaken_does_not_undo_what_came_after(told, work, database):
    (webhook_id,) = work.column("SELECT id FROM webhook")
    slow = deliveries.claim(database, [webhook_id])
    let_pass(work, LEASE_S + 1)
    quick = deliveries.claim(database, [webhook_id])
    failed = delivering.Answer(status=500, failure=Failure.NOT_ACCEPTED, seconds=0.1)
    deliveries.record(database, slow, failed)
    assert wait_s(work) > LEASE_S / 2 > 1.2 * DELAYS_S[0], "the newer lease was cut short"
    deliveries.record(database, quick, delivering.Answer(status=200, failure=None, seconds=0.1))
    deliveries.record(database, slow, failed)
    (delivery,) = of(database, told)
    assert (delivery.state, delivery.status) == (DeliveryState.DELIVERED, 200)


def test_a_clock_that_was_set_back_holds_nothing_up(told, receiver, work, notify):
    work.execute("UPDATE webhook_delivery SET next_at = now() + interval '3 days'")
    notify()
    assert len(receiver.received) == 1


def test_two_notifiers_lose_nothing_and_double_nothing(work, hook, receiver, database, start_notifier):
    created = hook(receiver.url())
    for _ in range(30):
        work.completed(1)
    announce(database)
    notifiers = [start_notifier(), start_notifier()]

    def over():
        for notifier in notifiers:
            notifier.turn()
        return not endpoints.get_webhook(database, created.webhook.id, viewer=UNRESTRICTED).waiting

    wait_until(over, what="all sent")
    assert len(receiver.received) == 30
    assert len({got.id for got in receiver.received}) == 30
    assert {found.attempt for found in of(database, created)} == {1}


def test_receivers_that_hang_do_not_hold_up_the_others(work, hook, receiver, start_receiver, database, start_notifier):
    hanging = [start_receiver() for _ in range(3)]
    for one in hanging:
        one.behave = lambda _handler, one=one: one.leave.wait(600)
        for path in range(5):
            hook(one.url(f"/{path}"))
    quick = hook(receiver.url(host="localhost"))
    for _ in range(5):
        work.completed(1)
    announce(database)
    notifier = start_notifier(limit_s=600.0)

    def arrived():
        notifier.turn()
        return (
            all(one.received for one in hanging)
            and not endpoints.get_webhook(database, quick.webhook.id, viewer=UNRESTRICTED).waiting
        )

    wait_until(arrived, what="the quick receiver's messages, with the others in hand")
    notifier.turn()
    assert len(receiver.received) == 5
    assert [len(one.received) for one in hanging] == [1, 1, 1], "one thread for a host, whatever it is to be told"
    for one in hanging:
        one.leave.set()


def test_a_webhook_that_fails_does_not_hold_up_another_of_its_host(work, hook, receiver, database, notify):
    broken, sound = hook(receiver.url("/broken")), hook(receiver.url("/sound"))
    for _ in range(5):
        work.completed(1)
    announce(database)
    receiver.behave = lambda handler: handler.wfile.write(
        b"HTTP/1.1 %d X\r\n\r\n" % (500 if handler.path == "/broken" else 200)
    )
    notify()
    assert [got.path for got in receiver.received].count("/broken") == 1
    assert endpoints.get_webhook(database, broken.webhook.id, viewer=UNRESTRICTED).waiting == 5
    assert endpoints.get_webhook(database, sound.webhook.id, viewer=UNRESTRICTED).waiting == 0


def test_those_who_have_waited_longest_come_first(work, hook, database, monkeypatch, start_notifier):
    monkeypatch.setattr(delivering, "_SLOTS", 1)
    asked = []

    def send(target, *_, **__):
        asked.append(target.host)
        return delivering.Answer(status=None, failure=Failure.NOT_REACHED, seconds=0.0)

    monkeypatch.setattr(delivering, "send", send)
    for name in ("a", "b", "c"):
        hook(f"https://{name}.example/")
    for _ in range(3):
        work.completed(1)
    announce(database)
    notifier = start_notifier()
    for count in range(1, 7):
        notifier.turn()
        wait_until(lambda count=count: len(asked) == count and not notifier._serving, what="a turn")
    assert sorted(asked[:3]) == sorted(asked[3:]) == ["a.example", "b.example", "c.example"]


def test_a_person_may_have_it_tried_again(told, receiver, work, database, notify):
    receiver.behave = 500
    notify()
    work.execute("UPDATE webhook_delivery SET attempt = 10, next_at = NULL")
    (delivery,) = of(database, told)
    assert delivery.state is DeliveryState.GIVEN_UP
    again = deliveries.try_again(database, told.webhook.id, delivery.id, viewer=UNRESTRICTED)
    assert (again.state, again.attempt, again.status) == (DeliveryState.WAITING, 0, 500)
    receiver.behave = 200
    notify()
    assert of(database, told)[0].state is DeliveryState.DELIVERED
    deliveries.try_again(database, told.webhook.id, delivery.id, viewer=UNRESTRICTED)
    notify()
    assert [got.id for got in receiver.received] == [str(delivery.id)] * 3


def test_a_delivery_is_found_under_its_own_webhook_only(told, hook, database):
    (delivery,) = of(database, told)
    other = hook(viewer=Viewer(name="other"))
    for webhook, number in ((other.webhook, delivery.id), (told.webhook, uuid.uuid4())):
        with pytest.raises(NotFound):
            deliveries.try_again(database, webhook.id, number, viewer=UNRESTRICTED)


def test_pages_of_deliveries(work, hook, database):
    created = hook()
    for _ in range(5):
        work.completed(1)
    announce(database)
    first = deliveries.list_deliveries(database, created.webhook.id, limit=3, viewer=UNRESTRICTED)
    rest = deliveries.list_deliveries(
        database, created.webhook.id, limit=3, before=first.next_before, viewer=UNRESTRICTED
    )
    numbers = [one.internal_id for one in (*first.deliveries, *rest.deliveries)]
    assert numbers == sorted(numbers, reverse=True)
    assert (len(numbers), rest.next_before) == (5, None)


def test_what_is_settled_is_kept_for_thirty_days(work, hook, database, monkeypatch):
    monkeypatch.setattr(deliveries, "_BATCH", 1)
    hook()
    for _ in range(5):
        work.completed(1)
    announce(database)
    ids = work.column("SELECT id FROM webhook_delivery ORDER BY id")
    changes = [
        "next_at = NULL, delivered_at = now() - interval '31 days'",
        "next_at = NULL, delivered_at = now() - interval '29 days', made_at = now() - interval '32 days'",
        "next_at = NULL, made_at = now() - interval '31 days'",
        "made_at = now() - interval '31 days'",
    ]
    for delivery_id, change in zip(ids, changes, strict=False):
        work.execute(f"UPDATE webhook_delivery SET {change} WHERE id = :id", id=delivery_id)  # noqa: S608
    assert deliveries.forget_old(database) == 2
    assert work.column("SELECT id FROM webhook_delivery ORDER BY id") == [ids[1], ids[3], ids[4]]


def test_a_deleted_webhook_is_told_nothing_more(told, receiver, database, notify):
    endpoints.delete_webhook(database, told.webhook.id, viewer=UNRESTRICTED)
    notify()
    assert receiver.received == []


def test_a_webhook_that_is_deleted_while_it_is_told_is_no_failure(told, receiver, database, notify, caplog):
    receiver.behave = lambda handler: (
        endpoints.delete_webhook(database, told.webhook.id, viewer=UNRESTRICTED),
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n"),
    )
    notify()
    assert len(receiver.received) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_logs_have_the_host_and_neither_path_nor_secret(work, hook, receiver, database, notify, caplog):
    caplog.set_level(logging.DEBUG)
    created = hook(receiver.url("/geheim?token=geheim"))
    work.completed(1)
    announce(database)
    receiver.behave = 500
    notify()
    work.execute("UPDATE webhook_delivery SET next_at = now(), attempt = 9")
    notify()
    assert of(database, created)[0].state is DeliveryState.GIVEN_UP
    said = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert "127.0.0.1" in said
    assert "geheim" not in said
    assert created.secret.removeprefix("whsec_") not in said
    assert [record.levelname for record in caplog.records if record.name == delivering.__name__] == ["INFO", "WARNING"]


def test_tries_are_counted(told, receiver, work, database, notify):
    counted = Counting()
    receiver.behave = 500
    notify()
    receiver.behave = 200
    let_pass(work, 10)
    notify()
    assert counted("yeban_webhook_tries_total", outcome="failed") == 1
    assert counted("yeban_webhook_tries_total", outcome="delivered") == 1
    assert counted("yeban_webhook_seconds_count") == 2


def test_a_test_is_sent_at_once_signed_and_not_stored(hook, receiver, database, work):
    created = hook(receiver.url())
    found = delivering.send_test(database, created.webhook.id, private=True, viewer=UNRESTRICTED)
    assert (found.status, found.failure) == (200, None)
    (got,) = receiver.received
    assert got.is_signed_by(created.secret)
    assert (got.json["type"], got.json["data"]) == ("webhook.test", {"webhook": str(created.webhook.id)})
    assert work.column("SELECT id FROM webhook_delivery") == []
    assert (
        delivering.send_test(database, created.webhook.id, private=False, viewer=UNRESTRICTED).failure
        is Failure.ADDRESS_REFUSED
    )


def test_stopping_waits_for_what_is_being_sent(told, receiver, database, start_notifier):
    notifier = start_notifier()
    notifier.turn()
    notifier.stop(20)
    assert of(database, told)[0].state is DeliveryState.DELIVERED
    deliveries.try_again(database, told.webhook.id, of(database, told)[0].id, viewer=UNRESTRICTED)
    notifier.turn()
    assert notifier._serving == {}
