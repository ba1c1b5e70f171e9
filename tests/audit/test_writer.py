"""The writer's thread: bounded queue, group commit, order, and one end for everybody."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sekisho.model.ids import uuid7
from sekisho_audit.errors import LedgerError, Poisoned, Refused
from sekisho_audit.ledger import Ledger, Request
from sekisho_audit.writer import Append, AppendAnswer, Call, Writer, WriterLimits
from support.ledgers import decision, intent, open_ledger, outcome, received

LIMIT_S = 20.0


class Desk:
    """A writer with what it said."""

    def __init__(self, ledger: Ledger, **limits: Any) -> None:
        self.answers: queue.Queue[AppendAnswer] = queue.Queue()
        self.over: queue.Queue[str | None] = queue.Queue()
        self.rounds = 0
        self.ledger = ledger
        chosen = WriterLimits(**{"disk_free_min_bytes": 0, **limits})
        self.writer = Writer(ledger, chosen, round_over=self._round, ended=self.over.put)

    def _round(self) -> None:
        self.rounds += 1

    def append(self, *events: Any, size: int = 10) -> None:
        self.writer.submit(Append(Request(events), size, self.answers.put))

    def end(self) -> str | None:
        self.writer.stop()
        self.writer.join(LIMIT_S)
        assert not self.writer.is_alive()
        return self.over.get(timeout=LIMIT_S)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    opened = open_ledger(tmp_path)
    opened.open_session("s-1", 1)
    return opened


def test_what_is_queued_is_written_in_one_round(ledger: Ledger) -> None:
    """Everything that waits when a round begins shares its syncs."""
    desk = Desk(ledger)
    for _ in range(50):
        desk.append(received(uuid7()))
    desk.writer.start()
    answers = [desk.answers.get(timeout=LIMIT_S) for _ in range(50)]
    assert desk.end() is None
    assert [item[0].index for item in answers if isinstance(item, list)] == list(range(2, 52))
    assert desk.rounds <= 2


def test_many_that_wait_are_written_in_turns(ledger: Ledger) -> None:
    """A round takes part of what waits, in order, so that nobody waits for all the others."""
    desk = Desk(ledger)
    for _ in range(300):
        desk.append(received(uuid7()))
    desk.writer.start()
    answers = [desk.answers.get(timeout=LIMIT_S) for _ in range(300)]
    assert desk.end() is None
    assert [item[0].index for item in answers if isinstance(item, list)] == list(range(2, 302))
    assert 1 < desk.rounds < 8


def test_what_comes_together_is_one_round(ledger: Ledger) -> None:
    """A writer that is awake begins no round with the first of several that came together."""
    desk = Desk(ledger)
    desk.writer.start()
    with desk.writer.together():
        for _ in range(20):
            desk.append(received(uuid7()))
            time.sleep(0.002)  # the writer would come in between
    answers = [desk.answers.get(timeout=LIMIT_S) for _ in range(20)]
    assert desk.end() is None
    assert all(isinstance(item, list) for item in answers)
    assert desk.rounds == 2  # with the one that ends it


def test_queue_is_bounded_by_events_and_bytes(ledger: Ledger) -> None:
    """A full queue refuses at once instead of growing, and takes again when it is empty."""
    desk = Desk(ledger, queue_events_max=4, queue_bytes_max=1_000)
    for _ in range(4):
        desk.append(received(uuid7()))
    with pytest.raises(Refused) as caught:
        desk.append(received(uuid7()))
    assert caught.value.code == "busy"
    desk.writer.start()
    for _ in range(4):
        desk.answers.get(timeout=LIMIT_S)
    with pytest.raises(Refused):
        desk.append(received(uuid7()), size=1_001)
    desk.append(received(uuid7()), size=1_000)
    assert isinstance(desk.answers.get(timeout=LIMIT_S), list)
    assert desk.end() is None
    assert (desk.writer.queued_events, desk.writer.queued_bytes) == (0, 0)


def test_nearly_full_disk_takes_only_what_ends_work(ledger: Ledger) -> None:
    """Below the mark nothing new comes in, outcomes still do."""
    exchange = uuid7()
    sent = intent(exchange, "s-1")
    ledger.append_batch([received(exchange), decision(exchange), sent])
    desk = Desk(ledger, disk_free_min_bytes=2**62)
    for new in (received(uuid7()), intent(exchange, "s-1")):
        with pytest.raises(Refused) as caught:
            desk.append(new)
        assert caught.value.code == "disk_full"
    desk.writer.start()
    desk.append(outcome(sent))
    assert isinstance(desk.answers.get(timeout=LIMIT_S), list)
    assert desk.end() is None


def test_ordered_calls_keep_their_place(ledger: Ledger) -> None:
    """A session is open for what follows it, and not for what came before."""
    desk = Desk(ledger)
    one, two = uuid7(), uuid7()
    desk.append(decision(one), intent(one, "s-2"))
    desk.writer.submit(Call(lambda it: it.open_session("s-2", 2), _unexpected, ordered=True))
    desk.append(decision(two), intent(two, "s-2"))
    desk.writer.start()
    first, second = (desk.answers.get(timeout=LIMIT_S) for _ in range(2))
    assert isinstance(first, Refused)
    assert isinstance(second, list)
    assert desk.end() is None


def _unexpected(error: LedgerError) -> None:
    raise AssertionError(str(error))


def test_a_failure_is_told_to_everybody_and_is_final(ledger: Ledger) -> None:
    """After the disk failed, waiters and later callers are refused; the thread has ended."""
    (ledger.directory / "events" / "000000000000.seg").unlink()
    desk = Desk(ledger)
    failed: queue.Queue[LedgerError] = queue.Queue()
    for _ in range(3):
        desk.append(received(uuid7()))
    desk.writer.submit(Call(lambda _ledger: None, failed.put))
    desk.writer.start()
    answers = [desk.answers.get(timeout=LIMIT_S) for _ in range(3)]
    assert all(isinstance(item, Poisoned) for item in answers)
    assert isinstance(failed.get(timeout=LIMIT_S), Poisoned)
    assert desk.over.get(timeout=LIMIT_S) is not None
    with pytest.raises(Poisoned):
        desk.append(received(uuid7()))


def test_a_failure_is_not_told_to_whom_the_round_had_answered(ledger: Ledger) -> None:
    """They have their answer, and it holds: what they asked for was done before."""
    (ledger.directory / "events" / "000000000000.seg").unlink()
    desk, told = Desk(ledger), queue.Queue[str]()
    desk.writer.submit(Call(lambda _: told.put("done"), lambda _: told.put("over"), ordered=True))
    desk.append(received(uuid7()))
    desk.writer.submit(Call(lambda _: told.put("done"), lambda _: told.put("late over")))
    desk.writer.start()
    assert desk.over.get(timeout=LIMIT_S) is not None
    assert isinstance(desk.answers.get(timeout=LIMIT_S), Poisoned)
    assert [told.get(timeout=LIMIT_S), told.get(timeout=LIMIT_S)] == ["done", "late over"]
    assert told.empty()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_that_it_is_over_is_told_also_when_a_waiter_cannot_be(ledger: Ledger) -> None:
    """Else the process would stay without a writer, and nobody would start another."""
    (ledger.directory / "events" / "000000000000.seg").unlink()
    desk = Desk(ledger)

    def deaf(_error: LedgerError) -> None:
        raise KeyError("surprise")

    desk.writer.submit(Call(lambda _ledger: None, deaf))
    desk.append(received(uuid7()))
    desk.writer.start()
    desk.writer.join(LIMIT_S)
    assert desk.over.get(timeout=LIMIT_S) is not None


def test_a_fault_of_ours_ends_the_writer_too(ledger: Ledger) -> None:
    """An error nobody thought of must not leave a writer in an unknown state."""
    desk = Desk(ledger)

    def wrong(_ledger: Ledger) -> None:
        raise KeyError("surprise")

    desk.writer.submit(Call(wrong, lambda _error: None))
    desk.writer.start()
    why = desk.over.get(timeout=LIMIT_S)
    assert why is not None
    assert "surprise" in why


def test_stopping_writes_what_is_queued(ledger: Ledger) -> None:
    """Nothing that was taken in is dropped at a clean stop; what comes later is refused."""
    desk = Desk(ledger)
    for _ in range(5):
        desk.append(received(uuid7()))
    desk.writer.stop()
    desk.writer.start()
    assert all(isinstance(desk.answers.get(timeout=LIMIT_S), list) for _ in range(5))
    desk.writer.join(LIMIT_S)
    with pytest.raises(Poisoned, match="stopped"):
        desk.append(received(uuid7()))


def test_checkpoint_is_written_while_nothing_happens(ledger: Ledger) -> None:
    """The last events are signed although no more follow."""
    desk = Desk(ledger, checkpoint_s=0.01)
    written = threading.Event()
    real = ledger.write_checkpoint

    def note(**how: bool) -> bytes | None:
        made = real(**how)
        if made is not None:
            written.set()
        return made

    ledger.write_checkpoint = note  # type: ignore[method-assign]
    desk.writer.start()
    desk.append(replace(received(uuid7())))
    assert written.wait(LIMIT_S)
    assert desk.end() is None


def test_appends_go_on_under_a_flood_of_calls(ledger: Ledger) -> None:
    """Whoever asks without pause is answered, and an append waits for one round's calls only."""
    desk = Desk(ledger, calls_round_max=8)
    ran = 0
    at_append: queue.Queue[int] = queue.Queue()

    def count(_ledger: Ledger) -> None:
        nonlocal ran
        ran += 1
        if ran == 1:  # the round is under way
            for _ in range(2):
                append = Append(Request([received(uuid7())]), 10, lambda _: at_append.put(ran))
                desk.writer.submit(append)

    for _ in range(200):
        desk.writer.submit(Call(count, _unexpected))
    desk.writer.start()
    assert [at_append.get(timeout=LIMIT_S) for _ in range(2)] == [8, 8]
    assert desk.end() is None
    assert ran == 200


def test_calls_go_on_under_a_flood_of_appends(ledger: Ledger) -> None:
    """What a round leaves over is not left for ever, though appends never stop."""
    desk = Desk(ledger, calls_round_max=2)
    answered: queue.Queue[LedgerError | None] = queue.Queue()
    endless = threading.Event()

    def another(_answer: AppendAnswer) -> None:
        if not endless.is_set():
            desk.writer.submit(Append(Request([received(uuid7())]), 10, another))

    another([])
    for _ in range(20):
        desk.writer.submit(Call(lambda _ledger: answered.put(None), answered.put))
    desk.writer.start()
    assert [answered.get(timeout=LIMIT_S) for _ in range(20)] == [None] * 20
    endless.set()
    assert desk.end() is None


def test_calls_that_were_left_over_are_told_that_it_is_over(ledger: Ledger) -> None:
    """Once each, whether they had their turn or not."""
    desk, told = Desk(ledger, calls_round_max=1), queue.Queue[str]()

    def first(_ledger: Ledger) -> None:
        (ledger.directory / "events" / "000000000000.seg").unlink()
        desk.append(received(uuid7()))

    desk.writer.submit(Call(first, lambda _: told.put("over")))
    for _ in range(3):
        desk.writer.submit(Call(lambda _: told.put("done"), lambda _: told.put("over")))
    desk.writer.start()
    assert desk.over.get(timeout=LIMIT_S) is not None
    desk.writer.join(LIMIT_S)
    assert [told.get_nowait() for _ in range(3)] == ["over"] * 3
    assert told.empty()


def test_one_asker_has_so_many_calls_waiting_and_no_more(ledger: Ledger) -> None:
    """More are refused until some were answered; others, and nobody's calls, are not refused."""
    desk = Desk(ledger, calls_each_max=3)
    done: queue.Queue[None] = queue.Queue()

    def ask(asker: object) -> None:
        desk.writer.submit(Call(lambda _ledger: done.put(None), _unexpected, asker=asker))

    one, other = object(), object()
    for _ in range(3):
        ask(one)
    with pytest.raises(Refused, match="3 calls of this connection wait") as caught:
        ask(one)
    assert caught.value.code == "busy"
    ask(other)
    for _ in range(9):
        ask(None)
    desk.writer.start()
    for _ in range(13):
        done.get(timeout=LIMIT_S)
    desk.writer.submit(Call(lambda _ledger: done.put(None), _unexpected, ordered=True))
    done.get(timeout=LIMIT_S)
    ask(one)
    done.get(timeout=LIMIT_S)
    assert desk.end() is None
