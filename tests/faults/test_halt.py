"""The kill switch in a running installation with two workers: wherever a request is, it stops."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import redis

from sekisho.adapters.redis_halts import KEY
from support.installation import Installation, events_of
from support.loopback_backend import LoopbackBackend, in_thread

HELD = "our customer list"
WAIT_S = 30.0
SOON = {"trust_env": False, "timeout": 15}


@dataclass
class Gates:
    """Two workers, two operators, and whom they stop."""

    installation: Installation
    backend: LoopbackBackend
    employee: str
    reviewer: str
    one: str
    two: str

    def ask(self, text: str = "hi", **more: Any) -> httpx.Response:
        """One request, on a connection of its own: any worker may take it."""
        body = {"model": "ok", "messages": [{"role": "user", "content": text}], **more}
        return self.call("POST", "/v1/chat/completions", self.employee, body)

    def call(self, method: str, path: str, key: str, body: Any = None) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"}
        url = self.installation.url + path
        return httpx.request(method, url, headers=headers, json=body, **SOON)

    def stop(self, scope: str = "all", name: str = "") -> str:
        """An operator sets it; the id of the switch."""
        said = {"scope": scope, "name": name, "reason": "There is a leak."}
        done = self.call("PUT", "/v1/admin/halt", self.one, said)
        assert done.status_code == 200, done.text
        return str(done.json()["id"])

    def lift(self, halt: str) -> None:
        """Two operators lift it, and it is lifted on both workers."""
        path = f"/v1/admin/halt/{halt}"
        self.until(
            lambda: self.call("POST", f"{path}/lift", self.one, {"reason": "over"}).is_success
        )
        self.until(lambda: self._confirmed(halt))
        self.until_codes({"ok"})

    def stopped(self) -> list[str]:
        """How the intents ended that a switch ended."""
        outcomes = events_of(self.installation.leaves(), "backend.outcome")
        ended = [one["data"] for one in outcomes if one["data"].get("cause") == "halted"]
        return [str(data["status"]) for data in ended]

    def _confirmed(self, halt: str) -> bool:
        listed = self.call("GET", "/v1/admin/halt", self.two).json()["data"]
        found = [one for one in listed if one["id"] == halt]
        if not found or found[0]["proposed"] is None:
            return False  # the worker that listed them has not heard of it yet
        body = {"proposed": found[0]["proposed"]["id"]}
        return self.call("POST", f"/v1/admin/halt/{halt}/confirm", self.two, body).is_success

    def codes(self, times: int = 8) -> set[str]:
        """How so many requests ended, over both workers."""
        answers = [self.ask() for _ in range(times)]
        return {"ok" if one.is_success else one.json()["error"]["code"] for one in answers}

    def until_codes(self, wanted: set[str]) -> None:
        """Until all requests end so; else what they said instead."""
        end = time.monotonic() + WAIT_S
        while (found := self.codes()) != wanted:
            listed = self.call("GET", "/v1/admin/halt", self.two).text
            assert time.monotonic() < end, (found, listed, self.ask().text)
            time.sleep(0.05)

    def until(self, works: Callable[[], bool]) -> None:
        end = time.monotonic() + WAIT_S
        while not works():
            assert time.monotonic() < end, "it did not come to pass"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gates]:
    with in_thread() as backend:
        holds = {"holds": {"hop_wait_s": 8, "wait_total_s": 20}}
        installation = Installation(
            tmp_path_factory.mktemp("h"), {"*": backend.url}, workers=2, settings=holds
        )
        installation.start()
        yield Gates(
            installation,
            backend,
            installation.key("staff-7"),
            installation.key("reviewer-1", roles="employee,reviewer"),
            installation.key("operator-1", roles="operator"),
            installation.key("operator-2", roles="operator"),
        )
        assert installation.stop() == 0
        verified = installation.verify()
        assert verified.returncode == 0, verified.stdout


@pytest.fixture(autouse=True)
def _ready_and_quiet(gates: Gates) -> None:
    """In place of the one for tests with one worker."""
    gates.installation.wait_ready()
    gates.until_codes({"ok"})
    gates.backend.seen.clear()


class Later(threading.Thread):
    """A request under way; `answer` is what came of it."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        super().__init__()
        self._ask = ask
        self.answer: Any = None
        self.start()

    def run(self) -> None:
        self.answer = self._ask()

    def ended(self) -> Any:
        self.join(WAIT_S)
        assert not self.is_alive()
        return self.answer


def test_a_switch_stops_new_requests_and_both_operators_lift_it(gates: Gates) -> None:
    """403 with the reason, no trying again; one person alone lifts nothing."""
    halt = gates.stop()
    gates.until_codes({"halted"})
    gates.backend.seen.clear()

    # A worker that has not read the switch yet is told by auditd, without the reason.
    gates.until(lambda: "There is a leak." in gates.ask().json()["error"]["message"])
    refused = gates.ask()
    assert refused.status_code == 403
    assert refused.headers["x-should-retry"] == "false"
    assert gates.backend.seen == []
    gates.until(
        lambda: (
            gates.call(
                "POST", f"/v1/admin/halt/{halt}/lift", gates.one, {"reason": "over"}
            ).is_success
        )
    )
    second_key = gates.installation.key("operator-1", roles="operator")
    [listed] = gates.call("GET", "/v1/admin/halt", gates.two).json()["data"]
    for key in (gates.one, second_key, gates.employee):
        body = {"proposed": (listed["proposed"] or {"id": "x"})["id"]}
        alone = gates.call("POST", f"/v1/admin/halt/{halt}/confirm", key, body)
        assert alone.status_code in {403, 409}
    assert gates.codes() == {"halted"}

    gates.lift(halt)


def test_a_running_stream_ends(gates: Gates) -> None:
    """At its next chunk, on whichever worker it runs; the outcome says why."""
    gates.backend.words, gates.backend.chunk_pause_s = 400, 0.1
    before = len(gates.stopped())
    bodies: list[bytes] = []
    first = threading.Barrier(3)

    def read() -> None:
        headers = {"authorization": f"Bearer {gates.employee}"}
        said = {"model": "ok", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        url = f"{gates.installation.url}/v1/chat/completions"
        with httpx.stream("POST", url, headers=headers, json=said, **SOON) as answer:
            pieces = answer.iter_raw()
            body = next(pieces)
            first.wait(WAIT_S)
            bodies.append(body + b"".join(pieces))

    readers = [Later(read) for _ in range(2)]
    first.wait(WAIT_S)
    halt = gates.stop("model", "OK")
    for reader in readers:
        reader.ended()
    gates.backend.words, gates.backend.chunk_pause_s = 5, 0.0
    gates.lift(halt)

    for body in bodies:
        assert b"[DONE]" not in body
        events = [json.loads(one.removeprefix(b"data: ")) for one in body.split(b"\n\n") if one]
        assert events[-1]["error"]["code"] == "halted"
        assert events[-2]["choices"][0]["finish_reason"] == "content_filter"
    assert gates.stopped()[before:] == ["stopped", "stopped"]


def test_a_whole_answer_is_kept_back(gates: Gates) -> None:
    """The backend was asked before; what it says reaches nobody."""
    gates.backend.slow_s = 3.0
    slow = [Later(lambda: gates.ask(model="slow")) for _ in range(2)]
    gates.until(lambda: len(gates.backend.seen) == len(slow))

    halt = gates.stop("backend", "backend-0")

    for one in slow:
        answer = one.ended()
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "halted")
    gates.backend.slow_s = 0.5
    gates.lift(halt)


def test_who_waits_for_people_is_told_and_nothing_is_approved(gates: Gates) -> None:
    """The wait ends; the hold stays and goes on when the switch is lifted."""
    waiting = Later(lambda: gates.ask(f"{HELD} one"))
    holds: list[Any] = []

    def filed() -> bool:
        holds[:] = gates.call("GET", "/v1/approvals", gates.reviewer).json()["data"]
        return bool(holds)

    gates.until(filed)
    hold = gates.call("GET", f"/v1/approvals/{holds[0]['id']}", gates.reviewer).json()
    halt = gates.stop("team", "employees")

    answer = waiting.ended()
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "halted")
    path = f"/v1/approvals/{hold['id']}/reviews"
    review = {"decision": "approve", "binding": hold["binding"], "reason": "fine"}
    gates.until_codes({"halted"})
    refused = [gates.call("POST", path, gates.reviewer, review) for _ in range(4)]
    assert {one.json()["error"]["code"] for one in refused} == {"halted"}
    sent = [one for one in gates.backend.seen if HELD.encode() in one.body]
    assert sent == []

    gates.lift(halt)
    assert gates.call("POST", path, gates.reviewer, review).is_success
    gates.until(lambda: any(HELD.encode() in one.body for one in gates.backend.seen))


def test_what_valkey_forgets_the_ledger_knows(gates: Gates) -> None:
    """Emptied by hand, and killed: nothing is let through at any moment."""
    halt = gates.stop()
    gates.until_codes({"halted"})
    gates.backend.seen.clear()
    socket = gates.installation.folder / "data" / "run" / "valkey.sock"
    with redis.Redis.from_url(f"unix://{socket}") as client:
        client.flushall()
    assert gates.codes() == {"halted"}
    gates.installation.kill("valkey-server")
    for _ in range(5):
        assert gates.codes(4) <= {"halted", "halt_unknown"}

    gates.installation.wait_ready()
    gates.until_codes({"halted"})
    with redis.Redis.from_url(f"unix://{socket}") as client:
        gates.until(lambda: bool(client.hexists(KEY, halt)))
    assert gates.backend.seen == []
    gates.lift(halt)


def test_restarted_workers_are_still_stopped(gates: Gates) -> None:
    """A worker that begins has asked before it lets the first one in."""
    halt = gates.stop()
    gates.until_codes({"halted"})
    gates.backend.seen.clear()
    for _ in range(2):
        gates.installation.kill("sekisho.worker")

    for _ in range(20):
        try:
            assert gates.codes(1) <= {"halted", "halt_unknown", "gateway_starting"}
        except httpx.TransportError:
            time.sleep(0.1)
    gates.installation.wait_ready()

    gates.until_codes({"halted"})
    assert gates.backend.seen == []
    gates.lift(halt)
