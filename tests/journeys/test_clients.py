"""Clients as staff use them, unmodified, whose requests and tool calls people answer.

Each is held before anything leaves (its words have a label) and for its tool calls (step 2 of the
ladder); both are approved, denied, and left until the client's wait is over.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.clients import ANSWERS_S, COMMANDS, RETRIEVING, Client, Told, put_in_place
from support.installation import Installation
from support.loopback_backend import LoopbackBackend, in_thread
from support.reviewer import REASON, Reviewer

WAYS = ("plain", "stream")
HELD = {
    "ask": "Summarise our customer list in one line.",
    "agent": "Write down what customer 7 wants.",
}
WORDS = {"plain": "word word word word word ", "stream": "first word word word word "}
DENIED = {"PermissionDeniedError", "OpenAIPermissionDeniedError", "APICallError"}

each_client = pytest.mark.parametrize("name", COMMANDS)
each_way = pytest.mark.parametrize("way", WAYS)
each_verb = pytest.mark.parametrize("verb", HELD)
_marks = itertools.count()


class Job(dict[str, Any]):
    """What a client is to do, with a mark in what is held that nothing else has."""

    def __init__(self, verb: str, way: str) -> None:
        self.mark = f"mark{next(_marks)}x"
        self.tools = [f"write_{self.mark}", f"find_{self.mark}"]
        text = f"{HELD[verb]} {self.mark}"
        super().__init__(verb=verb, text=text, tools=self.tools, stream=way == "stream")


class House:
    """One installation, everybody's clients, and the reviewer."""

    def __init__(self, made: Installation, backend: LoopbackBackend) -> None:
        self.made, self.backend = made, backend
        self.key = made.key("staff-7")
        self.reviewer = Reviewer(made.url, made.key("reviewer-1", "reviewers", "reviewer"))
        self.clients: dict[str, Client] = {}

    def sent(self, job: Job) -> int:
        """How many requests of this job reached the backend."""
        return sum(job.mark.encode() in seen.body for seen in self.backend.seen)

    def page(self, hold_id: str) -> str:
        """Where people look at a hold."""
        return f"{self.made.url}/approvals/{hold_id}"

    def decide(self, decision: str, name: str, job: Job) -> tuple[Told, dict[str, Any]]:
        """What a client's user sees while the reviewer answers, and what the reviewer saw."""
        asking = self.clients[name]
        return self.reviewer.while_deciding(decision, lambda: asking.run(**job), job.mark)

    def later(self, name: str, job: Job, result_id: str) -> Told:
        """What a client gets that comes back after its hold was approved."""
        again = {"verb": "retrieve", "result_id": result_id} if name in RETRIEVING else job
        for _ in range(100):
            told = self.clients[name].run(**again)
            if told.error.get("code") != "approval_pending":
                return told
            time.sleep(0.05)
        raise AssertionError("the approved answer was not given out")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Two workers; the folder's name is short for its sockets."""
    put_in_place()
    with in_thread() as backend, ExitStack() as stack:
        made = Installation(tmp_path_factory.mktemp("c"), {"*": backend.url}, workers=2)
        made.write()
        _step_2(made.folder / "policies" / "data.yaml")
        made.start()
        stack.callback(made.stop)
        house = House(made, backend)
        for name in COMMANDS:
            client = Client(name, f"{made.url}/v1", house.key)
            house.clients[name] = stack.enter_context(client)
        yield house


def _step_2(data: Path) -> None:
    row = 'ladder:\n  - {for: "group:employees", step: 2}\n'
    data.write_text(data.read_text().replace("ladder: []\n", row))


@pytest.fixture(scope="module")
def overdue(house: House) -> dict[tuple[str, str, str], tuple[Job, Told]]:
    """What nobody answers while the clients wait, by client, verb and way; all wait at once."""
    jobs = {(name, verb, way): Job(verb, way) for name in COMMANDS for verb in HELD for way in WAYS}
    waiting = {key: house.clients[key[0]].start(**job) for key, job in jobs.items()}
    return {key: (job, waiting[key].result(ANSWERS_S)) for key, job in jobs.items()}


@each_client
@each_way
def test_a_request_approved_in_time(house: House, name: str, way: str) -> None:
    """The client waits a little longer and gets its answer."""
    job = Job("ask", way)

    told, shown = house.decide("approve", name, job)

    assert (told.error, told.text) == ({}, WORDS[way])
    assert shown["stage"] == "request"
    assert house.sent(job) == 1


@each_client
@each_way
def test_a_request_denied(house: House, name: str, way: str) -> None:
    """The client's own error, and in its message the reason and where to read more."""
    job = Job("ask", way)

    told, shown = house.decide("deny", name, job)

    assert (told.error["status"], told.error["code"]) == (403, "approval_denied")
    assert told.error["kind"] in DENIED
    assert REASON in told.error["message"]
    assert house.page(shown["id"]) in told.error["message"]
    assert house.sent(job) == 0


@each_client
@each_way
def test_tool_calls_approved_in_time(house: House, name: str, way: str) -> None:
    """The tools run once, and the loop ends with what they gave."""
    job = Job("agent", way)

    told, shown = house.decide("approve", name, job)

    assert told.error == {}
    assert told.ran == job.tools
    assert told.text == "done: " + ", ".join(f"{tool} 7" for tool in job.tools)
    assert shown["stage"] == "tool_call"
    assert house.sent(job) == 2


@each_client
@each_way
def test_tool_calls_denied(house: House, name: str, way: str) -> None:
    """No tool runs: the loop ends with a text that has the reason."""
    job = Job("agent", way)

    told, _ = house.decide("deny", name, job)

    assert (told.error, told.ran) == ({}, [])
    assert REASON in str(told.text)
    assert told.finish in {"stop", "completed", None}
    assert house.sent(job) == 1


@each_client
@each_verb
@each_way
def test_nobody_answers_in_time(
    house: House,
    overdue: dict[tuple[str, str, str], tuple[Job, Told]],
    name: str,
    verb: str,
    way: str,
) -> None:
    """The client is told where it stands and does not ask again by itself; later it gets it all."""
    job, told = overdue[name, verb, way]
    sent = 0 if verb == "ask" else 1

    assert (told.error["status"], told.error["code"]) == (428, "approval_pending")
    approval = told.error["approval"]
    assert house.page(approval["id"]) in told.error["message"]
    assert approval["result_id"] in told.error["message"]
    assert (told.ran, house.sent(job)) == ([], sent)

    assert house.reviewer.decide("approve", job.mark)["id"] == approval["id"]
    later = house.later(name, job, approval["result_id"])

    assert later.error == {}
    if verb == "ask":
        assert later.text == WORDS[way]
        assert house.sent(job) == 1
    elif name in RETRIEVING:
        assert later.called == job.tools
        assert house.sent(job) == 1
    else:
        assert later.ran == job.tools
        assert house.sent(job) == 2


@each_way
def test_who_follows_no_redirect_is_told_everything(house: House, way: str) -> None:
    """The body of the 303 says what happens, where to look and where the answer will be."""
    job = Job("ask", way)
    asked = {
        "model": "ok",
        "messages": [{"role": "user", "content": job["text"]}],
        "stream": job["stream"],
    }
    with httpx.Client(
        headers={"authorization": f"Bearer {house.key}"}, trust_env=False, timeout=20
    ) as http:
        answer = http.post(f"{house.made.url}/v1/chat/completions", json=asked)

        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (303, "approval_pending")
        assert house.page(error["approval"]["id"]) in error["message"]
        assert error["approval"]["result_id"] in error["message"]

        house.reviewer.decide("approve", job.mark)
        for _ in range(100):
            later = http.get(error["approval"]["result_url"])
            if later.status_code != 428:
                break
            time.sleep(0.05)
    assert later.json()["choices"][0]["message"]["content"] == WORDS[way]
    assert house.sent(job) == 1
