"""An employee whose team works with drafts: a word about each answer before the next ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from support.chromium import Chromium, put_in_place
from support.installation import Installation, events_of
from support.loopback_backend import in_thread

ROW = 'ladder:\n  - {for: "group:employees", step: 1, drafts_max: 2}\n'


@pytest.fixture
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Two workers, and a team on step 1 that may leave two answers open."""
    with in_thread() as backend:
        made = Installation(tmp_path_factory.mktemp("d"), {"*": backend.url}, workers=2)
        made.write()
        data = made.folder / "policies" / "data.yaml"
        data.write_text(data.read_text().replace("ladder: []\n", ROW))
        made.start()
        yield made
        made.stop()


def test_say_what_became_of_an_answer_before_the_next(house: Installation) -> None:
    """Refused with the words of what to do; said in a terminal; then the next one comes at once."""
    key = house.key("staff-7")
    with openai.OpenAI(base_url=f"{house.url}/v1", api_key=key, max_retries=2) as client:

        def ask(text: str) -> str:
            raw = client.chat.completions.with_raw_response.create(
                model="ok", messages=[{"role": "user", "content": text}]
            )
            assert raw.headers["x-sekisho-draft"] == "open"
            return str(raw.headers["x-sekisho-exchange"])

        first, second = ask("one"), ask("two")
        for _ in range(2):
            with pytest.raises(openai.APIStatusError) as caught:
                ask("three")
            error = caught.value
            assert (error.status_code, error.code) == (428, "drafts_outstanding")
        for exchange in (first, second):
            assert exchange in house.run("draft", key=key)

        letter = house.folder / "letter.txt"
        letter.write_text("Dear Ms Li,")
        said = house.run("draft", first, "edited", "--final", str(letter), key=key)
        assert said == f"{first}: edited\n"
        assert first not in house.run("draft", key=key)
        ask("three")

        with pytest.raises(openai.APIStatusError, match="Say first"):
            client.chat.completions.create(
                model="ok", messages=[{"role": "user", "content": "four"}], stream=True
            )
    leaves = house.leaves()
    assert len(events_of(leaves, "backend.intent")) == 3
    [word] = events_of(leaves, "draft.answered")
    assert [one["name"] for one in word["pl"]] == ["final"]
    assert hashlib.sha256(letter.read_bytes()).hexdigest() not in str(leaves)
    assert house.verify().returncode == 0


def test_who_has_no_terminal_says_it_on_a_page(house: Installation) -> None:
    """The refusal names the page; it is accessible, and works on a phone without scripts."""
    put_in_place()
    key = house.key("staff-7")
    with openai.OpenAI(base_url=f"{house.url}/v1", api_key=key, max_retries=0) as client:

        def ask() -> None:
            client.chat.completions.create(
                model="ok", messages=[{"role": "user", "content": "hello"}]
            )

        ask()
        ask()
        with pytest.raises(openai.APIStatusError, match="/drafts"):
            ask()
        with Chromium() as chromium:
            address, phone = f"{house.url}/drafts", {"width": 390, "height": 844}
            plain: Any = {"javaScriptEnabled": False, "viewport": phone}
            waits = chromium.visit("plain", address, key, ("count", "form.draft"), **plain)
            assert waits == [2]
            said = ("click", "form.draft >> nth=0 >> [value=accepted]")
            chromium.run("plain", said, ("wait", ".note[role=status]"))
            changed = (
                *(("axe",), ("dark",), ("axe",), ("click", "summary"), ("axe",)),
                ("fill", "[name=final]", "Dear Ms Li,"),
                *(("click", "[value=edited]"), ("wait", ".note[role=status]"), ("axe",)),
                ("count", "form.draft"),
            )
            told = chromium.visit("scripted", address, key, *changed)
            assert [one for one in told if isinstance(one, list)] == [[]] * 4
            assert told[-1] == 0
        ask()
    decisions = [one["data"]["decision"] for one in events_of(house.leaves(), "draft.answered")]
    assert decisions == ["accepted", "edited"]
