"""The circuit: when a failing neighbour is asked, and when it is left alone."""

from __future__ import annotations

from sekisho.adapters.circuit import Circuit


class Clock:
    """Stands still until it is moved."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def broken(clock: Clock) -> Circuit:
    """A circuit whose neighbour has just failed three times of three."""
    circuit = Circuit(failures_max=3, rest_s=1.0, clock=clock)
    for _ in range(3):
        assert circuit.may_ask()
        circuit.failed()
    return circuit


def test_a_few_failures_change_nothing() -> None:
    """Below the limit everything is asked, and an answer forgets what failed before."""
    circuit = Circuit(failures_max=3, rest_s=1.0, clock=Clock())
    for _ in range(10):
        circuit.failed()
        circuit.failed()
        assert circuit.may_ask()
        circuit.answered()


def test_failures_in_a_row_bring_a_rest() -> None:
    """Nobody asks during it."""
    clock = Clock()
    circuit = broken(clock)

    clock.now_s += 0.99
    assert not circuit.may_ask()


def test_one_question_after_each_rest() -> None:
    """The rest of a crowd goes on waiting until that one was answered."""
    clock = Clock()
    circuit = broken(clock)

    clock.now_s += 1.0
    assert [True, False, False] == [circuit.may_ask() for _ in range(3)]
    circuit.failed()
    clock.now_s += 0.5
    assert not circuit.may_ask()
    clock.now_s += 0.5
    assert [True, False] == [circuit.may_ask() for _ in range(2)]


def test_a_question_that_never_ended_does_not_close_it_for_good() -> None:
    """Whoever asked after the rest may have been cancelled: the next rest lets another one ask."""
    clock = Clock()
    circuit = broken(clock)

    clock.now_s += 1.0
    assert circuit.may_ask()
    clock.now_s += 1.0
    assert circuit.may_ask()


def test_the_first_answer_ends_the_rest() -> None:
    """Everybody asks again at once."""
    clock = Clock()
    circuit = broken(clock)
    clock.now_s += 1.0
    assert circuit.may_ask()

    circuit.answered()

    assert [True] * 5 == [circuit.may_ask() for _ in range(5)]
