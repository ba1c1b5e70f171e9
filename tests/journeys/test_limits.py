"""An employee meets limits with an ordinary client, and looks at their own history."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from support.installation import ROOT, Installation, events_of

from .conftest import MODEL
from .test_employee import HELD, find_hold

LIMITS = """
limits:
  - {for: "principal:staff-8", requests_per_min: 3}
  - {for: "group:poor", spend_per_day: 0.000100}
prices:
  currency: "USD"
  models:
    "smollm2-*": {input: 1, output: 1}
"""


@pytest.fixture(scope="module")
def limited(
    tmp_path_factory: pytest.TempPathFactory, model_url: str
) -> Iterator[tuple[Installation, dict[str, str]]]:
    """An installation with small limits, and keys of people."""
    data = (
        (ROOT / "policies" / "data.yaml")
        .read_text()
        .replace("  sales:\n", '  poor:\n    models: ["*"]\n  sales:\n')
    )
    installation = Installation(
        tmp_path_factory.mktemp("l"), {MODEL: model_url}, workers=2, policy_data=data + LIMITS
    )
    installation.start()
    keys = {
        "staff-8": installation.key("staff-8"),
        "staff-9": installation.key("staff-9", groups="poor"),
        "staff-7": installation.key("staff-7"),
        "reviewer": installation.key("reviewer-1", roles="employee,reviewer"),
    }
    yield installation, keys
    assert installation.stop() == 0
    assert installation.verify().returncode == 0


def client(installation: Installation, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{installation.url}/v1", api_key=key, max_retries=0)


def ask(one: openai.OpenAI, text: str = "Say hello.", **more: Any) -> Any:
    messages = [{"role": "user", "content": text}]
    return one.chat.completions.with_raw_response.create(
        model=MODEL, messages=messages, max_tokens=8, **more
    )


def until_refused(one: openai.OpenAI, most: int) -> tuple[list[str], openai.RateLimitError]:
    """What each answer said was left, and the refusal: a minute may end on the way."""
    left: list[str] = []
    for _ in range(most):
        try:
            answer = ask(one)
        except openai.RateLimitError as error:
            return left, error
        left.append(answer.headers.get("x-ratelimit-remaining-requests", ""))
    raise AssertionError(f"never refused: {left}")


def test_a_minute_is_full_and_the_client_is_told_until_when(
    limited: tuple[Installation, dict[str, str]],
) -> None:
    """A RateLimitError with our words, when to come back, and what is left on every answer."""
    installation, keys = limited
    with client(installation, keys["staff-8"]) as one:
        left, caught = until_refused(one, 7)
        assert {"2", "1", "0"} >= set(left)
        assert len(left) >= 3
        assert caught.code == "limit_reached"
        assert 1 <= int(caught.response.headers["retry-after"]) <= 60
        assert "staff-8" in caught.message or "your" in caught.message.lower()


def test_money_is_used_up_and_no_client_tries_again_by_itself(
    limited: tuple[Installation, dict[str, str]],
) -> None:
    """insufficient_quota, told once: an SDK with retries on asks no second time."""
    installation, keys = limited
    patient = client(installation, keys["staff-9"]).with_options(max_retries=2)
    with patient as one:
        _, caught = until_refused(one, 10)
    assert (caught.code, caught.type) == ("budget_exhausted", "insufficient_quota")
    assert caught.response.headers["x-should-retry"] == "false"
    refused = events_of(installation.leaves(), "exchange.refused")
    assert [leaf["data"]["code"] for leaf in refused].count("budget_exhausted") == 1


def test_ones_own_history_shows_what_happened_and_who_looked(
    limited: tuple[Installation, dict[str, str]],
) -> None:
    """Held, looked at, approved, sent and paid for; receipts that the ledger has; an appeal."""
    installation, keys = limited
    nonce = "history-1"
    asked: list[Any] = []
    with client(installation, keys["staff-7"]) as one:
        asking = threading.Thread(target=lambda: asked.append(ask(one, f"{HELD} {nonce}")))
        asking.start()
        hold = find_hold(installation, keys["reviewer"], nonce)
        words = ("hold", "approve", hold, "--reason", "no names in it", "--yes")
        installation.run(*words, key=keys["reviewer"])
        asking.join(60)
    assert asked
    exchange = asked[0].headers["x-sekisho-exchange"]
    mine = {"authorization": f"Bearer {keys['staff-7']}"}
    with httpx.Client(base_url=installation.url, headers=mine, trust_env=False) as http:
        found = http.get(f"/v1/exchanges/{exchange}").json()
        said = {"reason": "It should not have been held."}
        first = http.post(f"/v1/exchanges/{exchange}/appeal", json=said)
        again = http.post(f"/v1/exchanges/{exchange}/appeal", json=said)
        listed = http.get("/v1/exchanges").json()
    assert (first.status_code, again.json()["id"]) == (201, first.json()["id"])
    assert {read["by"] for read in found["reads"]} == {"reviewer-1"}
    assert found["charged"]["tokens"] > 0
    assert found["charged"]["spend_micros"] == found["charged"]["tokens"]
    leaves = installation.leaves()
    for sent in found["sends"]:
        assert leaves[sent["receipt"]["index"]]["type"] == "backend.intent"
    assert exchange in {one["id"] for one in listed["data"]}
    assert listed["usage"]["day"]["tokens"] >= found["charged"]["tokens"]
    strangers = {"authorization": f"Bearer {keys['staff-8']}"}
    with httpx.Client(base_url=installation.url, headers=strangers, trust_env=False) as http:
        assert http.get(f"/v1/exchanges/{exchange}").status_code == 404
        assert http.post(f"/v1/exchanges/{exchange}/appeal", json=said).status_code == 404
    assert "no names in it" not in json.dumps(leaves)


def test_the_shipped_data_has_room_for_groups(limited: tuple[Installation, dict[str, str]]) -> None:
    """The test's own change of data.yaml took."""
    installation, _ = limited
    assert "poor" in Path(installation.folder / "policies" / "data.yaml").read_text()
