"""An employee whose team works with drafts: a word about each answer before the next ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import openai
import pytest

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
