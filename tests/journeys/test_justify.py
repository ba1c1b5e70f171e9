"""An employee who has to say why first, with an ordinary OpenAI client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from support.installation import Installation, events_of
from support.loopback_backend import in_thread

RULES = """# METADATA
# title: Why
package packs.team.why

# METADATA
# title: Whoever asks this says why
obligation contains {"justify": true}
"""
REASON = "The customer wants it in writing by Friday."


@pytest.fixture
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Two workers, and rules that ask for a reason; the folder's name is short for its sockets."""
    with in_thread() as backend:
        made = Installation(tmp_path_factory.mktemp("y"), {"*": backend.url}, workers=2)
        made.write()
        made.add_team_rules("why", RULES)
        made.start()
        yield made
        made.stop()


def _ask(client: openai.OpenAI) -> Any:
    return client.chat.completions.create(model="ok", messages=[{"role": "user", "content": "hi"}])


def _approval(error: openai.APIStatusError) -> dict[str, Any]:
    return dict(dict(error.body)["approval"])  # type: ignore[call-overload]


def test_say_why_then_ask_again(house: Installation) -> None:
    """Told at once what to do; the same call then gets its answer, sent once, and all verifies."""
    employee, other = house.key("staff-7"), house.key("staff-8")
    with openai.OpenAI(base_url=f"{house.url}/v1", api_key=employee, max_retries=2) as client:
        asked = ("check", "--model", "ok", str(house.config), "--json")
        told = json.loads(house.run(*asked, key=employee, check=False))
        assert (told["effect"], told["justify"]) == ("allow", True)
        for _ in range(2):
            with pytest.raises(openai.APIStatusError) as caught:
                _ask(client)
            error = caught.value
            assert (error.status_code, error.code) == (428, "justification_required")
            assert "location" not in error.response.headers
        approval = _approval(error)
        hold = approval["id"]
        assert approval["justification_url"] in error.message

        said = house.run("hold", "justify", hold, "--reason", REASON, key=other, check=False)
        assert said == ""
        assert "approved" in house.run("hold", "justify", hold, "--reason", REASON, key=employee)

        answer = _ask(client)
        assert answer.choices[0].message.content
        again = client.chat.completions.retrieve(approval["result_id"])
        assert again.choices[0].message.content == answer.choices[0].message.content
        with pytest.raises(openai.APIStatusError) as caught:
            _ask(client)
        assert _approval(caught.value)["id"] != hold
    leaves = house.leaves()
    exchange = events_of(leaves, "hold.justified")[0]["exchange"]
    kinds = [leaf["type"] for leaf in leaves if leaf["exchange"] == exchange]
    assert kinds == [
        "request.received", "policy.decision", "hold.filed", "hold.refused", "hold.justified",
        "hold.settled", "policy.decision", "backend.intent", "backend.outcome", "hold.delivered",
    ]  # fmt: skip
    assert house.verify().returncode == 0
