"""An agent whose tool calls a person approves or denies, with an ordinary OpenAI client."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest

from support.installation import Installation, events_of
from support.loopback_backend import ARGUMENTS, LoopbackBackend, in_thread

TOOLS: Any = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("crm.write", "kb.find")
]
ASK: Any = [{"role": "user", "content": "Write down what customer 7 wants."}]
REASON = "Customer 7 has asked us not to."


class House:
    """An installation on step 2 of the ladder: a person sees each tool call."""

    def __init__(self, made: Installation, backend: LoopbackBackend) -> None:
        self.made, self.backend = made, backend
        self.employee = made.key("staff-7")
        self.reviewer = made.key("reviewer-1", "reviewers", "reviewer")
        self.editor = made.key("reviewer-2", "reviewers", "reviewer")
        self.client = openai.OpenAI(base_url=f"{made.url}/v1", api_key=self.employee, max_retries=2)

    def holds(self) -> list[dict[str, Any]]:
        """The reviewer's queue."""
        return list(self._get("/v1/approvals")["data"])

    def _get(self, path: str) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {self.reviewer}"}
        answer = httpx.get(self.made.url + path, headers=headers, trust_env=False)
        answer.raise_for_status()
        return dict(answer.json())

    def waiting(self) -> dict[str, Any]:
        """Wait for a hold; the hold as it is shown to the reviewer."""
        for _ in range(400):
            if held := self.holds():
                break
            time.sleep(0.05)
        return self._get(f"/v1/approvals/{held[0]['id']}")

    def edit(self, *changes: str) -> None:
        """Change the calls of the hold that waits, as another reviewer at a terminal."""
        hold = self.waiting()["id"]
        self.made.run("hold", "edit", hold, *changes, key=self.editor)

    def decide(self, decision: str) -> dict[str, Any]:
        """Answer the hold that waits as the reviewer; the hold as it was shown."""
        shown = self.waiting()
        said = {"decision": decision, "binding": shown["binding"], "reason": REASON}
        answer = httpx.post(
            f"{self.made.url}/v1/approvals/{shown['id']}/reviews",
            json=said,
            headers={"authorization": f"Bearer {self.reviewer}"},
            trust_env=False,
        )
        answer.raise_for_status()
        return shown

    def while_deciding(
        self, decision: str, asking: Callable[[], Any], *changes: str
    ) -> tuple[Any, dict[str, Any]]:
        """What the client gets while a reviewer answers, after another made these changes, and
        what the reviewer saw.
        """
        shown: list[dict[str, Any]] = []

        def review() -> None:
            if changes:
                self.edit(*changes)
            shown.append(self.decide(decision))

        reviewer = threading.Thread(target=review)
        reviewer.start()
        answer = asking()
        reviewer.join(30)
        return answer, shown[0]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Two workers; the folder's name is short for its sockets."""
    with in_thread() as backend:
        made = Installation(tmp_path_factory.mktemp("c"), {"*": backend.url}, workers=2)
        made.write()
        data = made.folder / "policies" / "data.yaml"
        row = 'ladder:\n  - {for: "group:employees", step: 2}\n'
        data.write_text(data.read_text().replace("ladder: []\n", row))
        made.start()
        yield House(made, backend)
        made.stop()


def _ask(house: House, messages: Any = ASK, **more: Any) -> Any:
    return house.client.chat.completions.create(
        model="agent", messages=messages, tools=TOOLS, **more
    )


def _run(house: House) -> str:
    """An agent's loop: run what it calls until it says something; at most three turns."""
    messages = list(ASK)
    for _ in range(3):
        message = _ask(house, messages).choices[0].message
        if not message.tool_calls:
            return str(message.content)
        messages.append(message.model_dump(exclude_none=True))
        messages += [
            {"role": "tool", "tool_call_id": call.id, "content": call.function.name}
            for call in message.tool_calls
        ]
    raise AssertionError("the agent never came to an end")


def test_an_approved_call_reaches_the_agent_and_its_loop_ends(house: House) -> None:
    """The reviewer saw the very calls; the next turn, which calls nothing, waits for nobody."""
    sent = len(house.backend.seen)

    answer, shown = house.while_deciding("approve", lambda: _run(house))

    assert answer == "done: crm.write, kb.find"
    assert shown["stage"] == "tool_call"
    assert '"crm.write"' in shown["outgoing"]["text"]
    assert len(house.backend.seen) == sent + 2


def test_a_denied_call_ends_the_loop_with_the_reason(house: House) -> None:
    """No call reaches the agent."""
    answer, _ = house.while_deciding("deny", lambda: _run(house))

    assert REASON in answer
    assert "crm.write" not in answer


def test_what_a_reviewer_changed_is_what_the_agent_runs(house: House) -> None:
    """New arguments under the same id, one call taken out and named in the text."""
    answer, shown = house.while_deciding(
        "approve", lambda: _ask(house), "--set", '0={"customer": 8}', "--drop", "1"
    )

    message = answer.choices[0].message
    (call,) = message.tool_calls
    assert (call.id, call.function.name) == ("call_0", "crm.write")
    assert call.function.arguments == '{"customer": 8}'
    assert "kb.find" in message.content
    assert (shown["version"], shown["edited_by"], shown["narrowed"]) == (2, "reviewer-2", False)


@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_the_same_for_a_stream(house: House, decision: str) -> None:
    """A client that wants a stream gets one, after the decision."""

    def read() -> tuple[str, list[str], str]:
        text, called, finish = "", "", ""
        names: list[str] = []
        for part in _ask(house, stream=True):
            (choice,) = part.choices
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
            for call in choice.delta.tool_calls or []:
                names.append(call.function.name)
                called += call.function.arguments
        assert called in {"", 2 * ARGUMENTS}
        return text, names, finish

    (text, names, finish), _ = house.while_deciding(decision, read)

    if decision == "approve":
        assert (names, finish) == (["crm.write", "kb.find"], "tool_calls")
    else:
        assert (names, finish) == ([], "stop")
        assert REASON in text


def test_what_nobody_answers_in_time_is_there_later(house: House) -> None:
    """428 with the id; asked again it is the same hold and nothing is sent twice."""
    sent = len(house.backend.seen)
    ids = set()
    for _ in range(2):
        with pytest.raises(openai.APIStatusError) as caught:
            _ask(house)
        error = caught.value
        assert (error.status_code, error.code) == (428, "approval_pending")
        assert "tool calls in the answer" in error.message
        ids.add(dict(dict(error.body)["approval"])["result_id"])  # type: ignore[call-overload]
    (result,) = ids
    assert len(house.backend.seen) == sent + 1

    house.decide("approve")
    answer = _retrieved(house, result)
    calls = answer.choices[0].message.tool_calls or []
    assert [call.function.name for call in calls] == ["crm.write", "kb.find"]


def _retrieved(house: House, result: str) -> Any:
    for _ in range(100):
        try:
            return house.client.chat.completions.retrieve(result)
        except openai.APIStatusError as error:
            if error.code != "approval_pending":
                raise
            time.sleep(0.05)
    raise AssertionError("the approved answer was not given out")


def test_what_two_people_agreed_to_before_waits_for_nobody(house: House) -> None:
    """Each call has a grant of its own, proposed and confirmed at a terminal; used up, the next
    answer waits. Every use is on record before the answer it lets go.
    """
    for tool in ("crm.write", "kb.find"):
        words = [
            *("grant", "propose", "--principal", "staff-7", "--rule", "default.ladder"),
            *("--backend", "backend-0", "--tool", tool, "--other-arguments", "any"),
            *("--count", "1", "--hours", "1", "--reason", "Customer 7.", "--json"),
        ]
        grant = json.loads(house.made.run(*words, key=house.reviewer))["id"]
        house.made.run("grant", "confirm", grant, key=house.editor)
    time.sleep(2.5)  # each worker has asked the ledger once more

    calls = _ask(house).choices[0].message.tool_calls or []

    assert [call.function.arguments for call in calls] == [ARGUMENTS, ARGUMENTS]
    answer, _ = house.while_deciding("deny", lambda: _ask(house))
    assert answer.choices[0].message.tool_calls is None
    leaves = house.made.leaves()
    exchange = events_of(leaves, "grant.used")[-1]["exchange"]
    assert [leaf["type"] for leaf in leaves if leaf["exchange"] == exchange] == [
        "request.received", "policy.decision", "backend.intent", "grant.used", "policy.decision",
        "grant.used", "policy.decision", "policy.decision", "backend.outcome",
    ]  # fmt: skip


def test_without_tools_nobody_waits(house: House) -> None:
    """Step 2 is about tool calls."""
    answer = house.client.chat.completions.create(model="ok", messages=ASK)

    assert answer.choices[0].message.content


def test_it_all_verifies(house: House) -> None:
    """Each release has its reviews, its hold and its outcome."""
    house.while_deciding("approve", lambda: _ask(house))

    verified = house.made.verify()

    assert verified.returncode == 0, verified.stdout + verified.stderr
    leaves = house.made.leaves()
    exchange = events_of(leaves, "hold.released")[-1]["exchange"]
    assert [leaf["type"] for leaf in leaves if leaf["exchange"] == exchange] == [
        "request.received", "policy.decision", "backend.intent", "policy.decision",
        "policy.decision", "policy.decision", "backend.outcome", "hold.filed", "record.read",
        "hold.review", "hold.settled", "policy.decision", "policy.decision", "policy.decision",
        "hold.released", "hold.delivered",
    ]  # fmt: skip
