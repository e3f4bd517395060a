import threading

from tests.fixtures.waiting import wait_until
from worker.tasks.locks import Turns


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
