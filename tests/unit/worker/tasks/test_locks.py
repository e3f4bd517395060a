import threading

from tests.fixtures.waiting import wait_until
from worker.tasks.locks import Gate, Turns


def test_ordinary_groups_run_beside_one_another():
    gate, both = Gate(), threading.Barrier(2, timeout=120)

    def run() -> None:
        with gate.shared():
            both.wait()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not both.broken


def test_a_suspect_runs_when_all_others_are_out_and_keeps_them_out():
    gate, order = Gate(), []
    first_in, first_may_go, suspect_in, suspect_may_go = (threading.Event() for _ in range(4))

    def first() -> None:
        with gate.shared():
            first_in.set()
            first_may_go.wait(120)
            order.append("first")

    def suspect() -> None:
        with gate.alone():
            suspect_in.set()
            suspect_may_go.wait(120)
            order.append("suspect")

    def late() -> None:
        with gate.shared():
            order.append("late")

    threads = [threading.Thread(target=first)]
    threads[0].start()
    assert first_in.wait(120)
    threads.append(threading.Thread(target=suspect))
    threads[1].start()
    assert not suspect_in.wait(0.05)
    first_may_go.set()
    assert suspect_in.wait(120)
    threads.append(threading.Thread(target=late))
    threads[2].start()
    suspect_may_go.set()
    for thread in threads:
        thread.join(120)
    assert order == ["first", "suspect", "late"]


def test_turns_go_in_the_order_of_asking_and_one_has_it_at_a_time():
    turns, order, running = Turns(), [], 0

    def take(name: int) -> None:
        nonlocal running
        with turns.one():
            running += 1
            order.append((name, running))
            running -= 1

    threads = []
    with turns.one():
        for name in range(5):
            threads.append(threading.Thread(target=take, args=[name]))
            threads[-1].start()
            wait_until(lambda name=name: turns.waiting == name + 1, what="another who waits")
    # Whoever has just let go asks again at once, and comes last all the same.
    take(5)
    for thread in threads:
        thread.join(30)
    assert order == [(name, 1) for name in range(6)]


def test_a_turn_that_ends_in_an_error_is_handed_on():
    turns = Turns()
    try:
        with turns.one():
            raise RuntimeError
    except RuntimeError:
        pass
    with turns.one():
        assert turns.waiting == 0
