"""Fewer threads are tried when the pace collapses, and the faster number is kept."""

from collections.abc import Callable

from tiny_diffusion.runtime import HOLD, WINDOW, ThreadChooser


def choices(chooser: ThreadChooser, steps: int, seconds: Callable[[int], float]) -> list[int]:
    """The threads of each of so many steps, which take ``seconds(threads)``."""
    return [chooser.add(seconds(chooser.threads)) for _ in range(steps)]


def test_a_steady_pace_keeps_all_threads() -> None:
    chosen = choices(ThreadChooser(4), 1000, lambda n: 1 / n)
    assert chosen.count(2) == WINDOW and set(chosen[2 * WINDOW :]) == {4}  # one trial, at the start


def test_a_machine_that_is_busy_from_the_start_gets_fewer_threads() -> None:
    assert set(choices(ThreadChooser(2), 100, lambda n: 0.33 if n == 2 else 0.22)[WINDOW:]) == {1}


def test_a_collapse_tries_half_and_keeps_it_where_it_is_faster() -> None:
    chooser = ThreadChooser(4)
    choices(chooser, 50, lambda n: 1 / n)
    busy = choices(chooser, 60, lambda n: 5.0 if n == 4 else 0.5)
    assert busy[0] == 4 and set(busy[-20:]) == {2}


def test_a_collapse_that_fewer_threads_do_not_mend_goes_back() -> None:
    chooser = ThreadChooser(2)
    choices(chooser, 50, lambda n: 1 / n)
    seen = choices(chooser, 60, lambda n: 4 / n)
    assert 1 in seen and set(seen[-20:]) == {2}
    assert set(choices(chooser, 500, lambda n: 4 / n)) == {2}  # and is not tried again for the same pace


def test_all_threads_come_back_when_the_machine_is_quiet_again() -> None:
    chooser = ThreadChooser(2)
    choices(chooser, 50, lambda n: 1 / n)
    assert choices(chooser, 60, lambda n: 5.0 if n == 2 else 1.2)[-1] == 1
    quiet = choices(chooser, HOLD + 2 * WINDOW, lambda n: 1 / n)
    assert quiet[-1] == 2


def test_one_thread_is_never_halved() -> None:
    assert set(choices(ThreadChooser(1), 100, lambda n: 1.0)) | set(choices(ThreadChooser(1), 9, lambda n: 9.0)) == {1}
