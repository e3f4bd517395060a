import threading

from tests.fixtures.waiting import wait_until
from worker.tasks.locks import FairLock, SharedLock


def test_ordinary_groups_run_beside_one_another():
    lock, both = SharedLock(), threading.Barrier(2, timeout=120)

    def run() -> None:
        with lock.shared():
            both.wait()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not both.broken


def test_a_suspect_runs_when_all_others_are_out_and_keeps_them_out():
    lock, order = SharedLock(), []
    first_in, first_may_go, suspect_in, suspect_may_go = (threading.Event() for _ in range(4))

    def first() -> None:
        with lock.shared():
            first_in.set()
            first_may_go.wait(120)
            order.append("first")

    def suspect() -> None:
        with lock.exclusive():
            suspect_in.set()
            suspect_may_go.wait(120)
            order.append("suspect")

    def late() -> None:
        with lock.shared():
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


def test_a_fair_lock_goes_to_one_thread_at_a_time_in_order_of_arrival():
    lock, order, running = FairLock(), [], 0

    def take(name: int) -> None:
        nonlocal running
        with lock:
            running += 1
            order.append((name, running))
            running -= 1

    threads = []
    with lock:
        for name in range(5):
            threads.append(threading.Thread(target=take, args=[name]))
            threads[-1].start()
            wait_until(lambda name=name: lock.waiting == name + 1, what="another who waits")
    # The thread that released the lock asks again at once, and comes last.
    take(5)
    for thread in threads:
        thread.join(30)
    assert order == [(name, 1) for name in range(6)]


def test_a_fair_lock_is_released_by_an_error():
    lock = FairLock()
    try:
        with lock:
            raise RuntimeError
    except RuntimeError:
        pass
    with lock:
        assert lock.waiting == 0
