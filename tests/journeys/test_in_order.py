"""A request that a team lead and then a delegate of the reviewer let pass, with ordinary tools."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from support.installation import Installation, events_of
from support.loopback_backend import in_thread
from support.reviewer import APPEARS_S, Reviewer

RULES = """# METADATA
# title: Two look, one after the other
package packs.team.order

# METADATA
# title: The team lead, then a reviewer
hold contains object.union({"code": "in_order", "msg": "Two people look at this."}, asked) if {
	some asked in [{"reviewers": "team-lead"}, {"reviewers": "reviewer", "step": 2}]
}
"""
WHY = "It names no customer."


@pytest.fixture
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Two workers, so that whose turn it is is known to both."""
    with in_thread() as backend:
        made = Installation(tmp_path_factory.mktemp("o"), {"*": backend.url}, workers=2)
        made.settings = {"holds": {"hop_wait_s": 20, "wait_total_s": 120}}  # people take their time
        made.write()
        made.add_team_rules("order", RULES)
        made.start()
        yield made
        made.stop()


def test_one_after_the_other_and_a_delegate_for_the_second(house: Installation) -> None:
    """Each is asked in their turn, the client gets its answer, and the ledger knows who and for
    whom.
    """
    keys = {
        "staff-7": house.key("staff-7"),
        "lead-1": house.key("lead-1", "team-lead"),
        "reviewer-1": house.key("reviewer-1", "reviewers", "reviewer"),
        "deputy-1": house.key("deputy-1", "reviewers"),
    }
    lent = ("--delegate", "deputy-1", "--role", "reviewer")
    house.run(
        "principal", "lend", "reviewer-1", "--config", str(house.config), *lent, "--days", "1"
    )
    told = house.run("check", "--model", "ok", str(house.config), key=keys["staff-7"], check=False)
    assert told.index("Step 1: 1 review by team-lead") < told.index("Step 2: 1 review by reviewer")
    got: list[Any] = []
    client = openai.OpenAI(base_url=f"{house.url}/v1", api_key=keys["staff-7"])
    asked: Any = [{"role": "user", "content": "in two steps"}]
    waiting = threading.Thread(
        target=lambda: got.append(client.chat.completions.create(model="ok", messages=asked))
    )
    waiting.start()
    hold = Reviewer(house.url, keys["lead-1"]).find("in two steps")["id"]

    assert hold not in house.run("hold", "list", key=keys["deputy-1"])
    assert hold in house.run("hold", "list", "--turn", "any", key=keys["deputy-1"])
    early = ("hold", "approve", hold, "--yes", "--reason", WHY)
    house.run(*early, key=keys["deputy-1"], check=False)
    assert "step 1    team-lead (1): now" in house.run("hold", "show", hold, key=keys["deputy-1"])
    house.run(*early, key=keys["lead-1"])
    seen = house.run("hold", "show", hold, key=keys["deputy-1"])
    assert f"approved by lead-1: {WHY}" in seen
    assert "step 2    reviewer (1): now" in seen
    house.run(*early, key=keys["deputy-1"])
    waiting.join(4 * APPEARS_S)

    assert got[0].choices[0].message.content.startswith("word")
    shown = json.loads(house.run("hold", "show", hold, "--json", key=keys["staff-7"]))
    said = [(one["reviewer"], one["person"], one["step"]) for one in shown["reviews"]]
    assert said == [("lead-1", None, 1), ("deputy-1", "reviewer-1", 2)]
    leaves = house.leaves()
    reviews = events_of(leaves, "hold.review")
    assert [leaf["data"].get("step") for leaf in reviews] == [None, 2]
    assert "person" in reviews[1]["data"]
    refused = [leaf["data"]["code"] for leaf in events_of(leaves, "hold.refused")]
    assert refused == ["not_your_turn"]
    house.stop()
    assert house.verify().returncode == 0
