"""An emergency from end to end, with an ordinary client: opened, used, ended, reviewed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from support.installation import Installation, events_of
from support.loopback_backend import LoopbackBackend, in_thread

HELD = "Summarise our customer list in one line."
SECRET = "This is strictly confidential: the merger."
TOOLS: Any = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("crm.write", "kb.find")
]
RULES = ("--rule", "default.holds", "--rule", "default.ladder")
GONE_ON, DRAWN_S = 5, 20.0  # requests of `_goes_on`; a draw waits for nobody
WHY = "The plant is down and no reviewer answers."


class Plant:
    """An installation on step 2 of the ladder, and who works there."""

    def __init__(self, made: Installation, backend: LoopbackBackend) -> None:
        self.made, self.backend = made, backend
        self.chief = made.key("chief-1", roles="employee,break_glass")
        self.employee = made.key("staff-7")
        self.reviewer = made.key("reviewer-1", "reviewers", "reviewer")
        self.operator = made.key("operator-1", "operators", "operator")

    def glass(self, *said: str, key: str = "", check: bool = True) -> Any:
        """A `sekisho break-glass` command, and what it printed."""
        printed = self.made.run("break-glass", *said, "--json", key=key or self.chief, check=check)
        return json.loads(printed) if printed else None

    def ask(self, text: str = HELD, *, key: str = "", **more: Any) -> httpx.Response:
        """One request through an ordinary client, with the headers of its answer."""
        where, shown = f"{self.made.url}/v1", key or self.chief
        with openai.OpenAI(base_url=where, api_key=shown, max_retries=0) as client:
            raw = client.chat.completions.with_raw_response.create(
                model="agent", messages=[{"role": "user", "content": text}], **more
            )
            return raw.http_response

    def must_wait(self, text: str, *, key: str = "") -> None:
        """The same held text waits for people."""
        with pytest.raises(openai.APIStatusError) as held:
            self.ask(f"{HELD} {text}", key=key)
        assert held.value.status_code == 428

    def doctor(self) -> str:
        """What `sekisho doctor` says."""
        return self.made.run("doctor", "--config", str(self.made.config), check=False)


@pytest.fixture
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """Two workers; the folder's name is short for its sockets."""
    with in_thread() as backend:
        made = Installation(tmp_path_factory.mktemp("b"), {"*": backend.url}, workers=2)
        made.settings = {"holds": {"hop_wait_s": 1, "wait_total_s": 1}}
        made.write()
        data = made.folder / "policies" / "data.yaml"
        row = 'ladder:\n  - {for: "group:employees", step: 2}\n'
        data.write_text(data.read_text().replace("ladder: []\n", row))
        made.start()
        yield Plant(made, backend)
        made.stop()


def test_an_emergency_from_end_to_end(plant: Plant) -> None:
    """Held before and after, at once while it is open; a switch ends it; auditd outlives a kill;
    another person reviews; and the ledger verifies.
    """
    plant.must_wait("Before.")
    first = plant.glass("open", *RULES, "--reason", WHY)
    assert (first["status"], first["minutes"]) == ("open", 15)
    _goes_on(plant, first["id"])
    _nothing_else_yields(plant, first["id"])

    plant.glass("end", first["id"], key=plant.operator)
    plant.must_wait("After.")
    _all_is_looked_at(plant, first["id"])
    _another_reviews(plant, first["id"])

    second = plant.glass("open", *RULES, "--reason", WHY)
    assert plant.ask(HELD + " One.").status_code == 200
    plant.made.run("halt", "set", "tool", "kb.delete", "--reason", "A leak.", key=plant.operator)
    plant.must_wait("Two.")
    assert plant.glass("show", second["id"])["ended"] == "halted"

    third = plant.glass("open", *RULES, "--reason", WHY)
    plant.made.kill("auditd")
    assert any(_is_open_again(plant, third["id"]) for _ in range(120))

    plant.made.stop()
    done = plant.made.verify()
    assert done.returncode == 0, done.stdout + done.stderr
    leaves = plant.made.leaves()
    assert len(events_of(leaves, "break_glass.opened")) == 3
    uses = events_of(leaves, "break_glass.used")
    assert len(uses) >= 7
    drawn = {leaf["exchange"]: leaf["data"] for leaf in events_of(leaves, "sample.drawn")}
    assert drawn.keys() <= {leaf["exchange"] for leaf in uses}
    assert {one["per_10000"] for one in drawn.values()} == {10_000}


def _goes_on(plant: Plant, opening: str) -> None:
    """Requests at both workers, and a call that the model proposes."""
    for number in range(4):
        answer = plant.ask(f"{HELD} {number}")
        assert answer.headers["x-sekisho-break-glass"] == opening
    called = plant.ask("Write down what customer 7 wants.", tools=TOOLS)
    assert called.json()["choices"][0]["message"]["tool_calls"]
    assert called.headers["x-sekisho-break-glass"] == opening


def _nothing_else_yields(plant: Plant, opening: str) -> None:
    """A denial, somebody else; and whoever looks is told."""
    with pytest.raises(openai.PermissionDeniedError):
        plant.ask(SECRET)
    plant.must_wait("Another.", key=plant.employee)
    assert f"open: {opening} of chief-1" in plant.doctor()
    told = httpx.get(f"{plant.made.url}/metrics", trust_env=False).text
    assert "sekisho_break_glass_open 1.0" in told


def _all_is_looked_at(plant: Plant, opening: str) -> None:
    """Though nothing else is drawn here: a reviewer finds each exchange with what was said."""
    end = time.monotonic() + DRAWN_S
    found: list[Any] = []
    while time.monotonic() < end and len(found) < GONE_ON:
        listed = json.loads(plant.made.run("sample", "list", "--json", key=plant.reviewer))
        found = [one for one in listed if one["opening"] == opening]
    assert len(found) == GONE_ON
    shown = plant.made.run("sample", "show", found[0]["id"], key=plant.reviewer)
    assert HELD in shown
    assert f"opening   {opening}" in shown


def _another_reviews(plant: Plant, opening: str) -> None:
    """Whoever opened it cannot, a reviewer can; then it is known no more."""
    [told] = plant.glass("list", key=plant.reviewer)
    assert (told["status"], told["ended"], told["reason"]) == ("unreviewed", "operator", WHY)
    assert told["uses"] >= 5
    review = ("review", opening, "--verdict", "justified", "--reason", "It was.")
    assert plant.glass(*review, check=False) is None
    assert plant.glass(*review, key=plant.reviewer)["verdict"] == "justified"
    assert plant.glass("list") == []


def _is_open_again(plant: Plant, opening: str) -> bool:
    """Whether a request goes on by it, now that its writer was replaced."""
    try:
        answer = plant.ask(HELD + " Three.")
    except openai.APIStatusError:
        return False
    return bool(answer.headers["x-sekisho-break-glass"] == opening)
