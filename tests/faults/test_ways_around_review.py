"""Ways around a review, as people would try them: each is refused, on record, and sends nothing.

One running installation. `WAYS` are acts at a hold that are refused, each with its record;
`SPELLINGS` are requests that have to be held and are dressed up as something else. What else may
change while a request waits (rules, backends, the live state) has tests of its own below.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
import redis

from sekisho.adapters.key_desk import KeyDesk, KeyTerms
from sekisho.cli.stock import desk_of
from sekisho.config import load
from sekisho_audit.keyring import Keyring, load_secrets
from support.installation import KEY_KNOWN_S, Installation, events_of
from support.loopback_backend import LoopbackBackend, in_thread
from support.revisions import ACTIVATOR, AUTHOR, DENY_ALL, replay
from support.rules import give_modes

WAIT_S = 30.0
DAY_US = 86_400 * 1_000_000
PEOPLE = ("staff-7", "staff-8", "staff-9", "reviewer-1", "reviewer-2", "owner-1")
WORDS = "our customer list"  # the shipped rules hold it
# Longest answers in tokens; what the rules below look for.
SHORT, TWO, ANSWER, WHY, ORDER = 71, 72, 73, 74, 75
RULES = f"""# METADATA
# title: Ways around a review
package packs.team.ways

import data.lib.text

said(code) := text.reason(code, [], {{"en": "Look.", "zh": "查看。", "ja": "確認。"}})

# METADATA
# title: Held for a second
hold contains object.union({{"ttl_s": 1}}, said("short")) if input.request.max_tokens == {SHORT}

# METADATA
# title: Two people look
hold contains object.union({{"approve": 2}}, said("two")) if input.request.max_tokens == {TWO}

# METADATA
# title: The answer is looked at
hold contains object.union({{"stage": "response"}}, said("answer")) if {{
    input.request.max_tokens == {ANSWER}
}}

# METADATA
# title: Agents look, then a reviewer, then another
hold contains object.union(asked, said("order")) if {{
    input.request.max_tokens == {ORDER}
    some asked in [{{"reviewers": "agents"}}, {{"step": 2}}, {{"step": 3}}]
}}

# METADATA
# title: The person says why
obligation contains {{"justify": true}} if input.request.max_tokens == {WHY}
"""
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("crm.write", "kb.find")
]


@dataclass
class House:
    """An installation, and everybody who may want around its rules."""

    made: Installation
    backend: LoopbackBackend
    keys: Mapping[str, str]

    def call(
        self, method: str, path: str, who: str, body: Any = None, **headers: str
    ) -> httpx.Response:
        return httpx.request(
            method,
            self.made.url + path,
            headers={"authorization": f"Bearer {self.keys[who]}", **headers},
            json=body,
            timeout=20,
            trust_env=False,
        )

    def ask(
        self, who: str = "employee", words: str = WORDS, **more: Any
    ) -> tuple[httpx.Response, str]:
        """One request that has to be held, and the mark in it."""
        mark = f"{words} {uuid4().hex}"
        body = {"model": "ok", "messages": [{"role": "user", "content": mark}], **more}
        return self.call("POST", "/v1/chat/completions", who, body), mark

    def hold(self, who: str = "employee", words: str = WORDS, **more: Any) -> dict[str, Any]:
        """One that waits, as its reviewers see it; `mark` is in what was asked."""
        answer, mark = self.ask(who, words, **more)
        assert answer.status_code in {303, 428}, answer.text
        told = answer.json()["error"]["approval"]
        shown = self.call("GET", f"/v1/approvals/{told['id']}", "reviewer")
        assert shown.status_code == 200, shown.text
        return {**shown.json(), "mark": mark, "result_id": told["result_id"]}

    def calls(self) -> dict[str, Any]:
        """An answer with two tool calls that waits."""
        return self.hold("agent", "Write it down.", model="agent", tools=TOOLS)

    def review(
        self, hold: Mapping[str, Any], who: str, decision: str = "approve", **said: Any
    ) -> httpx.Response:
        body = {"decision": decision, "binding": hold["binding"], "reason": "Seen.", **said}
        return self.call("POST", f"/v1/approvals/{hold['id']}/reviews", who, body)

    def edit(self, hold: Mapping[str, Any], who: str, arguments: str = '{"n": 1}') -> Any:
        body = {"binding": hold["binding"], "calls": [{"place": 0, "arguments": arguments}]}
        return self.call("POST", f"/v1/approvals/{hold['id']}/edits", who, body)

    def state(self, hold: Mapping[str, Any]) -> str:
        return str(self.call("GET", f"/v1/approvals/{hold['id']}", "reviewer").json()["status"])

    def until(self, hold: Mapping[str, Any], *states: str) -> None:
        end = time.monotonic() + WAIT_S
        while (state := self.state(hold)) not in states:
            assert time.monotonic() < end, state
            time.sleep(0.05)

    def sent(self, hold: Mapping[str, Any]) -> bool:
        return any(hold["mark"].encode() in one.body for one in self.backend.seen)

    def refusals(self, hold: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        """What the ledger has of who was refused at it: who, act, code."""
        found = events_of(self.made.leaves(), "hold.refused")
        mine = [leaf for leaf in found if leaf["data"]["hold"] == hold["id"]]
        keys = self.made.folder / "keys"
        secrets = load_secrets(keys, create_missing=False)
        ring = Keyring(keys / "principals.keys", secrets.kek)
        names = {ring.known(one): one for one in PEOPLE}
        ring.close()
        return [(names[leaf["actor"]], leaf["data"]["act"], leaf["data"]["code"]) for leaf in mine]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = {"holds": {"hop_wait_s": 0.2, "wait_total_s": 1}}
    with in_thread() as backend:
        made = Installation(tmp_path_factory.mktemp("w"), {"*": backend.url}, settings=settings)
        made.write()
        policies = made.folder / "policies"
        (policies / "packs" / "team").mkdir()
        (policies / "packs" / "team" / "ways.rego").write_text(RULES)
        give_modes(policies)
        data = policies / "data.yaml"
        row = 'ladder:\n  - {for: "group:agents", step: 2}\n'
        data.write_text(data.read_text().replace("ladder: []\n", row))
        made.start()
        house = House(made, backend, _keys(made))
        try:
            yield house
        finally:
            status = made.stop()
        assert status == 0
        verified = made.verify()
        assert verified.returncode == 0, verified.stdout


def _keys(made: Installation) -> dict[str, str]:
    """A key of each of them, which the worker knows by now."""
    desk = KeyDesk(load(made.config))

    def key(who: str, *roles: str, **more: Any) -> str:
        return desk.create(who, groups=["employees"], roles=roles, **more)

    keys = {
        "employee": key("staff-7", "employee"),
        "employee as reviewer": key("staff-7", "employee", "reviewer"),
        "other employee": key("staff-8", "employee"),
        "agent": desk.create("staff-9", groups=["employees", "agents"], roles=["employee"]),
        "reviewer": key("reviewer-1", "reviewer"),
        "reviewer, other key": key("reviewer-1", "reviewer"),
        "asking only": key("reviewer-1", terms=KeyTerms(scopes=("ask",))),
        "editor": key("reviewer-2", "reviewer"),
        "owner": key("owner-1", "employee", "reviewer"),
        "service": key("svc-1", "employee", owner="owner-1"),
    }
    now_us = time.time_ns() // 1000
    desk.lend("reviewer-2", "staff-8", "reviewer", from_us=now_us, until_us=now_us + DAY_US)
    time.sleep(KEY_KNOWN_S)
    return keys


@dataclass(frozen=True)
class Way:
    """What somebody tries; `who` it is in the ledger, what they try, and what they are told."""

    tries: Callable[[House], tuple[dict[str, Any], httpx.Response]]
    who: str
    act: str
    status: int
    code: str


def _reviewed_by(key: str, asked_by: str = "employee", **more: Any) -> Any:
    def tries(house: House) -> tuple[dict[str, Any], httpx.Response]:
        hold = house.hold(asked_by, **more)
        return hold, house.review(hold, key)

    return tries


def _with_another_binding(house: House) -> tuple[dict[str, Any], httpx.Response]:
    hold, other = house.hold(), house.hold()
    return hold, house.review({**hold, "binding": other["binding"]}, "reviewer")


def _with_another_version(house: House) -> tuple[dict[str, Any], httpx.Response]:
    hold = house.hold()
    return hold, house.review(hold, "reviewer", version=2)


def _as_it_was_before_an_edit(house: House) -> tuple[dict[str, Any], httpx.Response]:
    hold = house.calls()
    assert house.edit(hold, "editor").is_success
    return hold, house.review(hold, "reviewer")


def _what_they_wrote(house: House) -> tuple[dict[str, Any], httpx.Response]:
    hold = house.calls()
    edited = house.edit(hold, "editor").json()
    return hold, house.review(edited, "editor")


def _an_edit_over_an_edit(house: House) -> tuple[dict[str, Any], httpx.Response]:
    hold = house.calls()
    assert house.edit(hold, "editor").is_success
    return hold, house.edit(hold, "reviewer", '{"n": 2}')


def _editing_ones_own(house: House) -> tuple[dict[str, Any], httpx.Response]:
    hold = house.calls()
    return hold, house.edit(hold, "agent")


def _after_a_denial(house: House) -> tuple[dict[str, Any], httpx.Response]:
    hold = house.hold()
    assert house.review(hold, "reviewer", "deny").is_success
    return hold, house.review(hold, "editor")


def _after_ones_own_denial(house: House) -> tuple[dict[str, Any], httpx.Response]:
    hold = house.hold()
    assert house.review(hold, "reviewer", "deny").is_success
    return hold, house.review(hold, "reviewer")


def _after_it_was_withdrawn(house: House) -> tuple[dict[str, Any], httpx.Response]:
    hold = house.hold()
    path = f"/v1/approvals/{hold['id']}/withdraw"
    assert house.call("POST", path, "employee").is_success
    return hold, house.review(hold, "reviewer")


def _after_its_time(house: House) -> tuple[dict[str, Any], httpx.Response]:
    hold = house.hold(max_tokens=SHORT)
    house.until(hold, "expired")
    return hold, house.review(hold, "reviewer")


def _getting(path: str, who: str) -> Any:
    def tries(house: House) -> tuple[dict[str, Any], httpx.Response]:
        hold = house.hold()
        where = path.format(id=hold["id"], result=hold["result_id"])
        return hold, house.call("GET", where, who)

    return tries


def _out_of_turn(decision: str) -> Any:
    def tries(house: House) -> tuple[dict[str, Any], httpx.Response]:
        hold = house.hold(words="In order.", max_tokens=ORDER)
        return hold, house.review(hold, "reviewer", decision)

    return tries


def _at_two_steps(house: House) -> tuple[dict[str, Any], httpx.Response]:
    hold = house.hold(words="In order.", max_tokens=ORDER)
    assert house.review(hold, "agent").is_success
    assert house.review(hold, "reviewer").json()["open_step"] == 3
    return hold, house.review(hold, "reviewer, other key", "deny")


def _withdrawn_by_another(house: House) -> tuple[dict[str, Any], httpx.Response]:
    hold = house.hold()
    return hold, house.call("POST", f"/v1/approvals/{hold['id']}/withdraw", "reviewer")


def _explained_by_another(house: House) -> tuple[dict[str, Any], httpx.Response]:
    hold = house.hold(max_tokens=WHY)
    path = f"/v1/approvals/{hold['id']}/justification"
    return hold, house.call("POST", path, "owner", {"reason": "It is fine."})


_RESULT = "/v1/approvals/{id}/result"
WAYS: Mapping[str, Way] = {
    "by another key of who asked": Way(
        _reviewed_by("employee as reviewer"), "staff-7", "review", 403, "self_approval"
    ),
    "by the owner of the service account": Way(
        _reviewed_by("owner", "service"), "owner-1", "review", 403, "self_approval"
    ),
    "by who asked, in the name of a reviewer": Way(
        _reviewed_by("other employee", "other employee"), "staff-8", "review", 403, "self_approval"
    ),
    "by somebody with no role for it": Way(
        _reviewed_by("agent"), "staff-9", "review", 404, "not_found"
    ),
    "with a key that is for asking": Way(
        _reviewed_by("asking only"), "reviewer-1", "review", 403, "scope_missing"
    ),
    "before who asked has said why": Way(
        _reviewed_by("reviewer", max_tokens=WHY),
        "reviewer-1",
        "review",
        409,
        "justification_outstanding",
    ),
    "with the binding of another hold": Way(
        _with_another_binding, "reviewer-1", "review", 409, "binding_mismatch"
    ),
    "of a version that is not there": Way(
        _with_another_version, "reviewer-1", "review", 409, "binding_mismatch"
    ),
    "as it was before an edit": Way(
        _as_it_was_before_an_edit, "reviewer-1", "review", 409, "binding_mismatch"
    ),
    "of what one wrote oneself": Way(
        _what_they_wrote, "reviewer-2", "review", 403, "self_approval"
    ),
    "by an edit of what was edited since": Way(
        _an_edit_over_an_edit, "reviewer-1", "edit", 409, "binding_mismatch"
    ),
    "by editing ones own": Way(_editing_ones_own, "staff-9", "edit", 403, "self_approval"),
    "by approving before their turn": Way(
        _out_of_turn("approve"), "reviewer-1", "review", 409, "not_your_turn"
    ),
    "by denying before their turn": Way(
        _out_of_turn("deny"), "reviewer-1", "review", 409, "not_your_turn"
    ),
    "at two steps, with another key": Way(
        _at_two_steps, "reviewer-1", "review", 409, "already_reviewed"
    ),
    "after somebody denied it": Way(
        _after_a_denial, "reviewer-2", "review", 409, "already_decided"
    ),
    "after one denied it oneself": Way(
        _after_ones_own_denial, "reviewer-1", "review", 409, "already_decided"
    ),
    "after it was withdrawn": Way(
        _after_it_was_withdrawn, "reviewer-1", "review", 409, "already_decided"
    ),
    "after its time": Way(_after_its_time, "reviewer-1", "review", 409, "already_decided"),
    "by the redirect of another's request": Way(
        _getting(_RESULT + "?hops=0&wait=0", "other employee"), "staff-8", "read", 404, "not_found"
    ),
    "by the redirect, as a reviewer": Way(
        _getting(_RESULT, "owner"), "owner-1", "read", 404, "not_found"
    ),
    "by the id of another's answer": Way(
        _getting("/v1/chat/completions/{result}", "other employee"),
        "staff-8",
        "read",
        404,
        "not_found",
    ),
    "by the page of another's hold": Way(
        _getting("/v1/approvals/{id}", "agent"), "staff-9", "read", 404, "not_found"
    ),
    "by taking another's request back": Way(
        _withdrawn_by_another, "reviewer-1", "withdraw", 404, "not_found"
    ),
    "by saying why in another's place": Way(
        _explained_by_another, "owner-1", "justify", 404, "not_found"
    ),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_way_around_is_refused_and_on_record(house: House, way: Way) -> None:
    """With the code that says why; nothing was sent or given out because of it."""
    hold, answer = way.tries(house)

    assert (answer.status_code, answer.json()["error"]["code"]) == (way.status, way.code)
    assert house.refusals(hold) == [(way.who, way.act, way.code)]
    assert house.state(hold) in {"pending", "denied", "withdrawn", "expired"}
    if hold["stage"] == "request":
        assert not house.sent(hold)


SPELLINGS: Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, str]]] = {
    "as a stream": ("/v1/chat/completions", {"stream": True}, {}),
    "with the marks of an approval": (
        "/v1/chat/completions",
        {"approval": {"status": "approved"}, "governance": {"approvals": ["x"]}},
        {"x-approval-id": "hold_1", "x-sekisho-approved": "true"},
    ),
    "as one that was tried before": (
        "/v1/chat/completions",
        {},
        {"x-stainless-retry-count": "2", "prefer": "wait=0"},
    ),
    "through the other API": ("/v1/responses", {"store": True}, {}),
    "through the other API, as a stream": ("/v1/responses", {"stream": True}, {}),
}


@pytest.mark.parametrize(
    "words", [WORDS, "Ｏｕｒ ＣＵＳＴＯＭＥＲ ｌｉｓｔ", "our cus\u200btomer li\u00adst"]
)
def test_it_is_held_however_it_is_spelled(house: House, words: str) -> None:
    """Width, hidden characters, another API and members that mean nothing change nothing."""
    held: dict[str, str] = {}
    for name, (path, more, headers) in SPELLINGS.items():
        text = f"{words} {uuid4().hex}"
        said = {"model": "ok", "messages": [{"role": "user", "content": text}], **more}
        if path == "/v1/responses":
            said["input"] = said.pop("messages")[0]["content"]
        answer = house.call("POST", path, "employee", said, **headers)
        assert answer.status_code in {303, 428}, (name, answer.text)
        held[name] = answer.json()["error"]["approval"]["id"]
        assert not any(text[-32:].encode() in one.body for one in house.backend.seen)

    filed = {leaf["data"]["hold"] for leaf in events_of(house.made.leaves(), "hold.filed")}
    assert set(held.values()) <= filed
    assert len(set(held.values())) == len(held)


def test_another_body_under_the_same_key_is_refused(house: House) -> None:
    """What was approved under an Idempotency-Key is what that key stands for."""
    key = uuid4().hex
    bodies = [
        {"model": "ok", "messages": [{"role": "user", "content": f"{WORDS} {n} {key}"}]}
        for n in range(2)
    ]
    answers = [
        house.call("POST", "/v1/chat/completions", "employee", body, **{"idempotency-key": key})
        for body in bodies
    ]

    assert answers[0].status_code == 303
    assert answers[1].status_code == 422
    assert answers[1].json()["error"]["code"] == "idempotency_mismatch"
    refused = events_of(house.made.leaves(), "exchange.refused")
    assert "idempotency_mismatch" in [leaf["data"]["code"] for leaf in refused]
    assert not any(key.encode() in one.body for one in house.backend.seen)


def test_two_keys_are_not_two_people(house: House) -> None:
    """Where two have to look, one of them with another key is still one."""
    hold = house.hold(max_tokens=TWO)
    for key in ("reviewer", "reviewer, other key", "reviewer"):
        assert house.review(hold, key).is_success
    assert house.state(hold) == "pending"
    assert not house.sent(hold)

    assert house.review(hold, "editor").is_success
    house.until(hold, "ready", "delivered")


def test_whose_answer_is_held_reads_it_nowhere(house: House) -> None:
    """Not on the hold, not by its id, not by a repeated request; only after its reviews."""
    hold = house.hold(words="A question.", max_tokens=ANSWER)
    assert "word word" in hold["outgoing"]["text"]
    for path in (f"/v1/approvals/{hold['id']}", f"/v1/chat/completions/{hold['result_id']}"):
        assert "word word" not in house.call("GET", path, "employee").text
    body = {
        "model": "ok",
        "max_tokens": ANSWER,
        "messages": [{"role": "user", "content": hold["mark"]}],
    }
    again = house.call("POST", "/v1/chat/completions", "employee", body)
    assert again.json()["error"]["approval"]["id"] == hold["id"]
    assert "word word" not in again.text


def test_rules_that_came_later_count(house: House) -> None:
    """What was approved under older rules does not leave against the new ones."""
    hold = house.hold()
    desk = desk_of(load(house.made.config))
    closed = house.made.folder / "closed"
    shutil.copytree(house.made.folder / "policies", closed)
    (closed / "packs" / "team" / "closed.rego").write_text(DENY_ALL)
    revision = desk.draft(AUTHOR, closed).revision
    replay(desk, AUTHOR, revision)
    desk.activate(ACTIVATOR, revision)
    _until_denied(house, denied=True)

    assert house.review(hold, "reviewer").is_success
    house.until(hold, "failed")
    told = house.call("GET", f"/v1/chat/completions/{hold['result_id']}", "employee")
    assert (told.status_code, told.json()["error"]["code"]) == (403, "policy_denied")
    assert not house.sent(hold)

    desk.rollback(ACTIVATOR)
    _until_denied(house, denied=False)


def _until_denied(house: House, *, denied: bool) -> None:
    """Until the worker has the rules that deny everything, or no longer has them."""
    end = time.monotonic() + WAIT_S
    while (house.ask()[0].json()["error"]["code"] == "policy_denied") is not denied:
        assert time.monotonic() < end
        time.sleep(0.2)


def test_a_state_that_was_written_by_hand_sends_nothing(house: House) -> None:
    """Whoever can write to Valkey makes no approval: the ledger has none."""
    hold = house.hold()
    socket = house.made.folder / "data" / "run" / "valkey.sock"
    with redis.Redis.from_url(f"unix://{socket}") as client:
        [key] = [key for key in client.scan_iter("*") if key.endswith(hold["id"].encode())]
        client.hset(key, "state", "approved")
    for _ in range(5):
        house.call("GET", f"/v1/approvals/{hold['id']}/result", "employee")
    assert not house.sent(hold)
    settled = events_of(house.made.leaves(), "hold.settled")
    assert hold["id"] not in [leaf["data"]["hold"] for leaf in settled]
