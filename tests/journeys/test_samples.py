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

    def drawn(self) -> set[str]:
        """What waits for the third reviewer, who judges last."""
        return {one["id"] for one in self.run(self.third, "list")}

    def new(self, before: set[str], count: int) -> list[dict[str, Any]]:
        """What was drawn since then, once there are so many."""
        found: list[dict[str, Any]] = []
        for _ in range(100):
            found = [one for one in self.run(self.third, "list") if one["id"] not in before]
            if len(found) >= count:
                break
            time.sleep(0.1)
        assert len(found) == count
        return found

    def counted(self) -> dict[str, int]:
        """The figures of the model."""
        rows = [one for one in self.run(self.one, "figures") if one["kind"] == "model"]
        names = ("drawn", "judged", "disputed")
        return {name: sum(one[name] for one in rows) for name in names}

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
    before, counted = house.drawn(), house.counted()
    house.ask("What is drawn?")
    house.ask("And a stream?", stream=True)
    house.ask("And one that is left?", stream=True, stop_after=1)
    samples = house.new(before, 3)
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

    mine = {one["id"] for one in house.run(house.one, "list")}
    assert mine.isdisjoint(one["id"] for one in samples)
    first = samples[0]["id"]
    assert house.shown(house.two, first)["verdicts"] == []
    said = house.run(house.two, "judge", first, "concern", "--reason", "A name was not masked.")
    assert said["outcome"] is None
    house.shown(house.third, first)
    said = house.run(house.third, "judge", first, "concern", "--reason", "So it is.")
    assert (said["outcome"], said["by"]) == ("concern", "third")
    now = house.counted()
    assert [now[name] - counted[name] for name in counted] == [3, 1, 1]
    verified = house.made.verify()
    assert verified.returncode == 0, verified.stdout


def test_an_employee_learns_nothing_but_who_read_it(house: House) -> None:
    """Neither list nor content are theirs; their history says who was shown it."""
    before = house.drawn()
    house.ask("Who reads this?")
    [sample] = house.new(before, 1)
    house.shown(house.third, sample["id"])
    headers = {"authorization": f"Bearer {house.employee}"}

    def get(path: str) -> httpx.Response:
        return httpx.get(house.made.url + path, headers=headers, trust_env=False)

    for path in ("/v1/samples", "/v1/samples/figures", f"/v1/samples/{sample['id']}"):
        assert get(path).status_code == 403
    told: list[dict[str, Any]] = []
    for _ in range(100):  # the history is read from the ledger, a moment behind
        listed = get("/v1/exchanges").json()["data"]
        told = [get(f"/v1/exchanges/{one['id']}").json() for one in listed]
        if any(read["by"] == "reviewer-3" for one in told for read in one["reads"]):
            break
        time.sleep(0.1)
    reads = [read for one in told for read in one["reads"] if read["by"] == "reviewer-3"]
    assert {(read["purpose"], read["part"]) for read in reads} == {("review", "sample")}
    assert "sample.drawn" not in json.dumps(told)
    assert sample["id"] not in json.dumps(told)
