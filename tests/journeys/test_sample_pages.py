"""Samples in real Chromium: accessible in three languages, inert, judged by two keystrokes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from support.chromium import Chromium, put_in_place
from support.installation import Installation
from support.loopback_backend import in_thread

PHONE = {"width": 390, "height": 844}
LOCALES = {"en": "en-GB", "zh": "zh-CN", "ja": "ja-JP"}
EVIL = (
    "</div><script>window.pwned=1</script><img src=x onerror=window.pwned=2>"
    "<a href='https://evil.example'>a</a><form><button name=act value=fine autofocus>"
    "\u202eenif sserP\u202c " + "long" * 60
)
STICKS_OUT = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


class House:
    """An installation that draws everything, and a browser."""

    def __init__(self, made: Installation, chromium: Chromium) -> None:
        self.made, self.chromium = made, chromium
        self.employee = made.key("staff-7")
        self.keys = {
            name: made.key(name, "reviewers", "reviewer") for name in ("reviewer-1", "reviewer-2")
        }

    def call(self, key: str, path: str, said: Any = None) -> Any:
        method, headers = "GET" if said is None else "POST", {"authorization": f"Bearer {key}"}
        url = self.made.url + path
        answer = httpx.request(method, url, json=said, headers=headers, trust_env=False)
        answer.raise_for_status()
        return answer.json()

    def drawn(self) -> str:
        """The page of a new sample, once its content is there."""
        before = {one["id"] for one in self.call(self.keys["reviewer-1"], "/v1/samples")["data"]}
        said = {"model": "small", "messages": [{"role": "user", "content": EVIL}]}
        self.call(self.employee, "/v1/chat/completions", said)
        for _ in range(200):
            told = self.call(self.keys["reviewer-1"], "/v1/samples")["data"]
            new = [one["id"] for one in told if one["id"] not in before]
            path = f"/v1/samples/{new[0]}" if new else ""
            if path and self.call(self.keys["reviewer-1"], path)["content"] != "none":
                return f"{self.made.url}/samples/{new[0]}"
            time.sleep(0.05)
        raise AssertionError("nothing was drawn")

    def visit(self, who: str, address: str, *steps: Any, **options: Any) -> list[Any]:
        """Follow a link, sign in with a key, and go on; what the further steps said."""
        profile = f"{who} {sorted(options)} {options.get('locale')} {address}"
        return self.chromium.visit(profile, address, self.keys[who], *steps, **options)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    put_in_place()
    with in_thread() as backend, Chromium() as chromium:
        every = {"per_10000": 10_000, "per_10000_at_risk": 10_000}
        folder = tmp_path_factory.mktemp("q")
        made = Installation(folder, {"*": backend.url}, settings={"samples": every})
        made.start()
        try:
            yield House(made, chromium)
        finally:
            made.stop()


@pytest.mark.parametrize("language", LOCALES)
def test_pages_of_samples_are_accessible_fit_and_stay_inert(house: House, language: str) -> None:
    """Axe finds nothing, in the dark and on a phone; what was asked runs and loads nothing."""
    sample, shots = house.drawn(), []
    for address in (sample, f"{house.made.url}/samples"):
        shots += [("goto", address), ("dark",), ("axe",), ("light",), ("size", *PHONE.values())]
        shots += [("axe",), ("ask", STICKS_OUT), ("size", 1280, 800)]
    inert = (
        ("goto", sample),
        ("ask", "window.pwned === undefined"),
        ("count", "main img, main script, main iframe, main [autofocus], main a[href^=http]"),
        ("text", "main"),
        ("ask", "document.documentElement.lang"),
    )
    said = house.visit("reviewer-1", sample, *shots, *inert, locale=LOCALES[language])

    found = [one for step, one in zip(shots, said, strict=False) if step[0] in {"axe", "ask"}]
    assert found == [[], [], 0] * 2
    assert said[-4:-2] == [True, 0]
    assert "U+202Eenif sserP" in said[-2]
    assert said[-1].startswith(language)


def test_a_sample_is_judged_by_keyboard_and_on_a_phone_without_scripts(house: House) -> None:
    """`a` and Enter are fine; a letter alone decides nothing. The second has no scripts."""
    sample = house.drawn()
    said = house.visit(
        "reviewer-1",
        sample,
        ("press", "a"),
        ("count", ".deck"),
        ("press", "Enter"),
        ("wait", ".note[role=status]"),
        ("url",),
    )
    assert said[1] == 1
    assert said[-1].endswith("/samples?done=true")
    plain: Any = {"javaScriptEnabled": False, "viewport": PHONE}
    concern = (
        ("fill", "#reason", "It speaks to me."),
        ("click", "[value=concern]"),
        ("wait", ".note[role=status]"),
    )
    house.visit("reviewer-2", sample, *concern, **plain)

    told = house.call(house.keys["reviewer-2"], "/v1/samples/" + sample.rsplit("/", 1)[1])
    assert [one["verdict"] for one in told["verdicts"]] == ["fine", "concern"]
