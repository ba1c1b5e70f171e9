"""Review after the fact on a whole installation: drawn, judged by several, a restart between."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from support.installation import Installation
from support.loopback_backend import LoopbackBackend, in_thread


class House:
    """An installation that draws everything."""

    def __init__(self, made: Installation, backend: LoopbackBackend) -> None:
        self.made, self.backend = made, backend
        self.employee = made.key("staff-7")
        self.one = made.key("reviewer-1", "reviewers", "reviewer")
        self.two = made.key("reviewer-2", "reviewers", "reviewer")
        self.third = made.key("reviewer-3", "reviewers", "reviewer")

    def ask(self, text: str, *, stream: bool = False, stop_after: int = 0) -> None:
        """One question, its answer read to the end or not."""
        client = openai.OpenAI(base_url=f"{self.made.url}/v1", api_key=self.employee, max_retries=0)
        said: Any = [{"role": "user", "content": text}]
        answer = client.chat.completions.create(model="small", messages=said, stream=stream)
        if stream:
            for number, _ in enumerate(answer, 1):
                if number == stop_after:
                    answer.close()
                    break
        client.close()

    def run(self, key: str, *words: str) -> Any:
        return json.loads(self.made.run("sample", *words, "--json", key=key))

    def waiting(self, key: str, count: int) -> list[dict[str, Any]]:
        """What waits, once so many do."""
        found: list[dict[str, Any]] = []
        for _ in range(100):
            found = self.run(key, "list")
            if len(found) >= count:
                break
            time.sleep(0.1)
        return found

    def shown(self, key: str, sample: str) -> dict[str, Any]:
        """A sample, once its content was kept."""
        told: dict[str, Any] = {}
        for _ in range(100):
            told = self.run(key, "show", sample)
            if told["content"] != "none":
                break
            time.sleep(0.1)
        return told


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with in_thread() as backend:
        made = Installation(
            tmp_path_factory.mktemp("s"),
            {"*": backend.url},
            workers=2,
            settings={"samples": {"per_10000": 10_000, "per_10000_at_risk": 10_000}},
        )
        made.start()
        yield House(made, backend)
        made.stop()


def test_what_was_drawn_is_judged_by_two_with_a_restart_between(house: House) -> None:
    """An answer, a stream, and a stream that its client left: all are drawn. One reviewer finds
    them fine; after a restart the second does not, and a third decides. The ledger verifies.
    """
    house.ask("What is drawn?")
    house.ask("And a stream?", stream=True)
    house.ask("And one that is left?", stream=True, stop_after=1)
    samples = house.waiting(house.one, 3)
    assert len(samples) == 3
    for sample in samples:
        told = house.shown(house.one, sample["id"])
        assert told["content"] == "whole"
        assert told["answer"]["bytes"] > 0
    texts = [house.shown(house.one, one["id"])["request"]["text"] for one in samples]
    assert ["What is drawn?" in texts[0], "left" in texts[2]] == [True, True]
    for sample in samples:
        house.run(house.one, "judge", sample["id"], "fine")
    house.made.stop()
    house.made.start()

    assert house.waiting(house.one, 0) == []
    first = samples[0]["id"]
    assert house.shown(house.two, first)["verdicts"] == []
    said = house.run(house.two, "judge", first, "concern", "--reason", "A name was not masked.")
    assert said["outcome"] is None
    house.shown(house.third, first)
    said = house.run(house.third, "judge", first, "concern", "--reason", "So it is.")
    assert (said["outcome"], said["by"]) == ("concern", "third")
    [figures] = [one for one in house.run(house.one, "figures") if one["kind"] == "model"]
    assert (figures["drawn"], figures["judged"], figures["disputed"]) == (3, 1, 1)
    verified = house.made.verify()
    assert verified.returncode == 0, verified.stdout


def test_an_employee_learns_nothing_but_who_read_it(house: House) -> None:
    """Neither list nor content are theirs; their history says who was shown it."""
    headers = {"authorization": f"Bearer {house.employee}"}
    for path in ("/v1/samples", "/v1/samples/figures"):
        answer = httpx.get(house.made.url + path, headers=headers, trust_env=False)
        assert answer.status_code == 403
    listed = httpx.get(f"{house.made.url}/v1/exchanges", headers=headers, trust_env=False).json()
    told = [
        httpx.get(
            f"{house.made.url}/v1/exchanges/{one['id']}", headers=headers, trust_env=False
        ).json()
        for one in listed["data"]
    ]
    readers = {read["by"] for one in told for read in one["reads"]}
    assert {"reviewer-1", "reviewer-2", "reviewer-3"} <= readers
    assert "sample.drawn" not in json.dumps(told)
