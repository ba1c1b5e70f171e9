"""Responses in the background, with the openai package: ask, leave, come back for the answer."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import openai
import pytest

from support.installation import Installation
from support.loopback_backend import LoopbackBackend, in_thread
from support.reviewer import REASON, Reviewer

PLAIN = "What is a barrier station?"
HELD = "Summarise our customer list in one line."
BRIEF = {"holds": {"lease_s": 3, "hop_wait_s": 1, "wait_total_s": 6}}
ENDED = {"completed", "failed", "cancelled"}
_marks = itertools.count()


class House:
    """One worker, an employee's client and a reviewer."""

    def __init__(self, made: Installation, backend: LoopbackBackend) -> None:
        self.made, self.backend = made, backend
        key = made.key("staff-7")
        self.reviewer = Reviewer(made.url, made.key("reviewer-1", "reviewers", "reviewer"))
        self.responses = openai.OpenAI(base_url=f"{made.url}/v1", api_key=key).responses

    def ask(self, text: str, model: str = "ok", **more: Any) -> tuple[Any, str]:
        """Ask in the background; with a mark in the text that nothing else has."""
        mark = f"mark{next(_marks)}x"
        told = self.responses.create(model=model, input=f"{text} {mark}", background=True, **more)
        return told, mark

    def ended(self, name: str) -> Any:
        """The response once nothing more happens to it."""
        for _ in range(1200):  # as long as a dead worker's lease, and some
            told = self.responses.retrieve(name)
            if told.status in ENDED:
                return told
            time.sleep(0.05)
        raise AssertionError("it never ended")

    def kill_worker(self) -> None:
        """At once, and wait until the next one is there."""
        self.made.kill("sekisho.worker")
        self.made.wait_ready()

    def sent(self, mark: str) -> int:
        """How many requests with this mark reached the backend."""
        return sum(mark.encode() in seen.body for seen in self.backend.seen)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with in_thread() as backend, ExitStack() as stack:
        backend.slow_s = 1.5
        made = Installation(tmp_path_factory.mktemp("b"), {"*": backend.url}, settings=BRIEF)
        made.write()
        made.start()
        stack.callback(made.stop)
        yield House(made, backend)


def test_ask_leave_and_come_back(house: House) -> None:
    """Queued at once, completed a little later, sent once."""
    told, mark = house.ask(PLAIN)
    assert told.status == "queued"

    done = house.ended(told.id)

    assert (done.status, done.output_text) == ("completed", "word word word word word ")
    assert house.sent(mark) == 1


def test_people_are_asked_meanwhile(house: House) -> None:
    """Approved is completed, denied is failed with the reason; where to look stands in it."""
    told, mark = house.ask(HELD)
    assert told.status == "queued"
    assert told.approval["url"].startswith(f"{house.made.url}/approvals/hold_")
    house.reviewer.decide("approve", mark)
    assert house.ended(told.id).status == "completed"
    assert house.sent(mark) == 1

    told, mark = house.ask(HELD)
    house.reviewer.decide("deny", mark)
    done = house.ended(told.id)
    assert (done.status, done.error.code) == ("failed", "approval_denied")
    assert REASON in done.error.message
    assert house.sent(mark) == 0


def test_a_stream_is_taken_up_where_it_was_lost(house: House) -> None:
    """The connection is dropped after the first events; the rest comes later, numbered on."""
    stream, mark = house.ask(HELD, stream=True)
    first = list(itertools.islice(stream, 2))
    stream.close()
    assert [event.type for event in first] == ["response.created", "response.queued"]
    name, last = first[0].response.id, first[-1].sequence_number

    house.reviewer.decide("approve", mark)
    house.ended(name)
    rest = list(house.responses.retrieve(name, stream=True, starting_after=last))

    assert [event.sequence_number for event in rest] == list(range(last + 1, last + 1 + len(rest)))
    assert rest[-1].type == "response.completed"
    said = "".join(e.delta for e in rest if e.type == "response.output_text.delta")
    assert said == rest[-1].response.output_text != ""
    assert house.sent(mark) == 1


def test_it_is_taken_back_while_people_are_asked(house: House) -> None:
    """Cancelled, never sent; afterwards nobody can approve it."""
    told, mark = house.ask(HELD)

    assert house.responses.cancel(told.id).status == "cancelled"

    assert house.ended(told.id).status == "cancelled"
    assert mark not in str(house.reviewer.holds())
    assert house.sent(mark) == 0


def test_a_stranger_finds_nothing(house: House) -> None:
    """Neither the answer nor that there is one."""
    told, _ = house.ask(PLAIN)
    key = house.made.key("staff-8")
    stranger = openai.OpenAI(base_url=f"{house.made.url}/v1", api_key=key).responses

    for asking in (stranger.retrieve, stranger.cancel):
        with pytest.raises(openai.NotFoundError):
            asking(told.id)


def test_no_worker_is_needed_for_it_to_go_on(house: House) -> None:
    """It is killed while people are asked: the response waits, and is sent once by the next one."""
    told, mark = house.ask(HELD)
    house.kill_worker()

    house.reviewer.decide("approve", mark)

    assert house.ended(told.id).status == "completed"
    assert house.sent(mark) == 1


def test_what_was_sent_by_a_worker_that_died_is_not_sent_again(house: House) -> None:
    """Nobody knows what became of it, and that is what is said."""
    told, mark = house.ask(PLAIN, model="slow")
    for _ in range(200):
        if house.sent(mark):
            break
        time.sleep(0.02)

    house.kill_worker()

    done = house.ended(told.id)
    assert (done.status, done.error.code) == ("failed", "dispatch_unknown")
    assert house.sent(mark) == 1
