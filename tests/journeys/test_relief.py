"""Nobody of the desk answers a request, and whoever relieves them does, with ordinary tools."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from support.installation import Installation, events_of
from support.loopback_backend import in_thread
from support.reviewer import APPEARS_S, Reviewer

RULES = """# METADATA
# title: The desk looks
package packs.team.desk

# METADATA
# title: The desk, and its head if nobody is there
hold contains {
	"code": "desk", "msg": "The desk looks at this.",
	"reviewers": "desk", "relief": ["desk-head"], "ttl_s": 60,
}
"""
WHY = "It names no customer."


@pytest.fixture
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Two workers: each reads by itself when it is time."""
    with in_thread() as backend:
        made = Installation(tmp_path_factory.mktemp("r"), {"*": backend.url}, workers=2)
        made.settings = {
            "holds": {"hop_wait_s": 20, "wait_total_s": 120},
            "notify": {"escalation_percent": 20, "reminder_percent": 10},
        }
        made.write()
        made.add_team_rules("desk", RULES)
        made.start()
        yield made
        made.stop()


def test_the_head_answers_when_the_desk_does_not(house: Installation) -> None:
    """Not before it is time; then the client gets its answer, and the ledger says in whose place
    it was approved.
    """
    keys = {
        "staff-7": house.key("staff-7"),
        "desk-1": house.key("desk-1", "desk"),
        "head-1": house.key("head-1", "desk-head"),
    }
    told = house.run("check", "--model", "ok", str(house.config), key=keys["staff-7"], check=False)
    assert "1 review by desk would let it go. Late, desk-head may in their place." in told
    got: list[Any] = []
    client = openai.OpenAI(base_url=f"{house.url}/v1", api_key=keys["staff-7"])
    asked: Any = [{"role": "user", "content": "nobody is at the desk"}]
    waiting = threading.Thread(
        target=lambda: got.append(client.chat.completions.create(model="ok", messages=asked))
    )
    waiting.start()
    hold = Reviewer(house.url, keys["desk-1"]).find("nobody is at the desk")
    answer = ("hold", "approve", hold["id"], "--yes", "--reason", WHY)

    assert hold["id"] not in house.run("hold", "list", "--turn", "any", key=keys["head-1"])
    house.run(*answer, key=keys["head-1"], check=False)
    seen = house.run("hold", "show", hold["id"], key=keys["desk-1"])
    assert "desk-head for desk" in seen
    assert "pending" in seen
    until = time.monotonic() + APPEARS_S * 4
    while hold["id"] not in house.run("hold", "list", key=keys["head-1"]):
        assert time.monotonic() < until, "it never became theirs"
        time.sleep(0.2)
    house.run(*answer, key=keys["head-1"])
    waiting.join(4 * APPEARS_S)

    assert got[0].choices[0].message.content.startswith("word")
    assert f"approved by head-1 (relief: desk-head): {WHY}" in house.run(
        "hold", "show", hold["id"], key=keys["desk-1"]
    )
    leaves = house.leaves()
    [review] = events_of(leaves, "hold.review")
    assert (review["data"]["relief"], review["data"]["counts_for"]) == ("desk-head", ["desk"])
    [filed] = events_of(leaves, "hold.filed")
    assert review["ts"] >= filed["data"]["relief_us"]
    house.stop()
    assert house.verify().returncode == 0
