"""Break-glass in real Chromium: opened from a hold, told, ended and reviewed on pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from support.chromium import Chromium, put_in_place
from support.installation import Installation, events_of
from support.loopback_backend import in_thread

PHONE = {"width": 390, "height": 844}
LOCALES = {"en": "en-GB", "zh": "zh-CN", "ja": "ja-JP"}
HELD = "Summarise our customer list in one line."
RULE = "default.holds"
WHY = "</textarea><script>window.pwned=1</script> \u202enwod si tnalp eht\u202c " + "long" * 60
STICKS_OUT = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


class House:
    """An installation with rules that hold, and a browser."""

    def __init__(self, made: Installation, chromium: Chromium) -> None:
        self.made, self.chromium = made, chromium
        self.keys = {
            "chief": made.key("chief-1", roles="employee,break_glass"),
            "reviewer": made.key("reviewer-1", "reviewers", "reviewer"),
            "auditor": made.key("auditor-1", "auditors", "auditor"),
        }

    def visit(self, who: str, path: str, *steps: Any, **options: Any) -> list[Any]:
        """Somebody with a browser of their own for this."""
        profile = f"{who} {sorted(options)} {options.get('locale')} {path}"
        address = self.made.url + path
        return self.chromium.visit(profile, address, self.keys[who], *steps, **options)

    def ask(self) -> tuple[int, str]:
        """Status of one held request of the chief, and the page of its hold."""
        where = f"{self.made.url}/v1"
        said: Any = [{"role": "user", "content": HELD}]
        with openai.OpenAI(base_url=where, api_key=self.keys["chief"], max_retries=0) as client:
            try:
                client.chat.completions.create(model="small", messages=said)
            except openai.APIStatusError as error:
                body: Any = error.body
                return error.status_code, body["approval"]["url"].removeprefix(self.made.url)
            return 200, ""

    def opened(self) -> str:
        """The page of a new opening, by command."""
        reason = ("--reason", WHY, "--minutes", "5")
        self.made.run("break-glass", "open", "--rule", RULE, *reason, key=self.keys["chief"])
        link = "document.querySelector('.queue a').getAttribute('href')"
        [path] = self.visit("auditor", "/break-glass", ("ask", link))
        return str(path)


@pytest.fixture
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    put_in_place()
    with in_thread() as backend, Chromium() as chromium:
        made = Installation(tmp_path_factory.mktemp("g"), {"*": backend.url})
        made.settings = {"holds": {"hop_wait_s": 1, "wait_total_s": 1}}
        made.start()
        try:
            yield House(made, chromium)
        finally:
            made.stop()


def test_an_emergency_on_pages(house: House) -> None:
    """From the hold that nobody answers to the verdict of somebody else, and the ledger verifies.
    The second reader has a phone and no scripts.
    """
    status, hold = house.ask()
    assert status == 428
    opened = house.visit(
        "chief",
        hold,
        ("click", "[value=withdraw]"),
        ("gone", "[value=withdraw]"),
        ("click", ".note a"),
        ("fill", "#reason", WHY),
        ("click", "form[action$=break-glass] button"),
        ("wait", "[value=end]"),
        ("url",),
    )
    path = str(opened[-1]).removeprefix(house.made.url)
    assert house.ask()[0] == 200

    said = house.visit(
        "auditor",
        "/approvals",
        ("click", ".alarm a"),
        ("wait", ".queue"),
        ("click", ".queue a"),
        ("wait", "blockquote"),
        ("url",),
        ("count", "main button, main script, main [autofocus]"),
    )
    assert str(said[-2]).endswith(path)
    assert said[-1] == 0
    house.visit("chief", f"{path}?", ("click", "[value=end]"), ("wait", ".side .note"))
    plain: Any = {"javaScriptEnabled": False, "viewport": PHONE}
    house.visit(
        "reviewer",
        path,
        ("fill", "#reason", "The line stood still."),
        ("click", "[value=justified]"),
        ("wait", ".note[role=status]"),
        **plain,
    )

    house.made.stop()
    done = house.made.verify()
    assert done.returncode == 0, done.stdout + done.stderr
    [reviewed] = events_of(house.made.leaves(), "break_glass.reviewed")
    assert (reviewed["data"]["verdict"], reviewed["data"]["uses"]) == ("justified", 1)


def test_pages_of_break_glass_are_accessible_fit_and_are_used_by_keyboard(house: House) -> None:
    """Axe finds nothing, in the dark and on a phone, in three languages, while it is open and
    when it waits for review; `d`, a reason and Enter are a verdict.
    """
    path = house.opened()
    for state in ("open", "over"):
        for language, locale in LOCALES.items():
            shots: list[Any] = []
            for who, address in (("auditor", path), ("chief", "/break-glass")):
                shots = [("goto", house.made.url + address), ("dark",), ("axe",), ("light",)]
                shots += [("size", *PHONE.values()), ("axe",), ("ask", STICKS_OUT)]
                shots += [("ask", "window.pwned === undefined")]
                shots += [("ask", "document.documentElement.lang")]
                said = house.visit(who, f"{address}?{state}", *shots, locale=locale)
                told = [s for shot, s in zip(shots, said, strict=True) if shot[0] in {"axe", "ask"}]
                assert told[:-1] == [[], [], 0, True]
                assert told[-1].startswith(language)
        if state == "open":
            house.visit("chief", path, ("click", "[value=end]"), ("wait", ".side .note"))
    judged = house.visit(
        "reviewer",
        path,
        ("press", "d"),
        ("type", "A walk was enough."),
        ("press", "Enter"),
        ("wait", ".note[role=status]"),
        ("url",),
    )
    assert str(judged[-1]).endswith("/break-glass?done=true")
