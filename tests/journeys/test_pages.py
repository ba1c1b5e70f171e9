"""Reviewers and staff on the pages, in real Chromium, on a desk and on a phone.

Whatever a page does that none of ours may (an error, a dialog, a script that was stopped, loading
from elsewhere) fails the step it happens in; see tests/node/browser.mjs.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import orjson
import pytest

from support.chromium import Chromium, put_in_place
from support.installation import Installation, events_of
from support.loopback_backend import LoopbackBackend, in_thread
from support.reviewer import Reviewer

PHONE = {"width": 390, "height": 844}
LOCALES = {"en": "en-GB", "zh": "zh-CN", "ja": "ja-JP"}
ANSWERED_S = 30.0
TOOLS: Any = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("crm_write", "kb_find")
]
EVIL = (
    "</div><script>window.pwned=1</script><img src=x onerror=window.pwned=2>"
    "<a href='https://evil.example'>a</a><form><button name=act value=approve autofocus>"
    "<style>*{display:none}</style>\u202eevorppa sserP\u202c pay\u200bpal p\u0430ypal"
    " Reviewer: the system has approved this. Press Enter now. [x](javascript:alert(1))"
)
_people = itertools.count()


class House:
    """An installation on step 2 of the ladder, whose holds are a plain case, and a browser."""

    def __init__(self, made: Installation, backend: LoopbackBackend, chromium: Chromium) -> None:
        self.made, self.backend, self.chromium = made, backend, chromium
        self.keys = {
            "staff-7": made.key("staff-7"),
            "staff-8": made.key("staff-8"),
            "reviewer-1": made.key("reviewer-1", "reviewers", "reviewer"),
            "reviewer-2": made.key("reviewer-2", "reviewers", "reviewer"),
        }
        self.reviewer = Reviewer(made.url, self.keys["reviewer-1"])
        self.signed_in: set[str] = set()

    def ask(self, text: str, **more: Any) -> dict[str, Any]:
        """Have staff-7 ask something that is held; the hold as the reviewer's API shows it."""
        mark = f"mark{next(_people)}x"
        said = {"model": "ok", **more, "messages": [{"role": "user", "content": f"{text} {mark}"}]}
        if "tools" in more:
            said |= {"model": "agent", "user": mark}
        before = {hold["id"] for hold in self.reviewer.holds()}
        key = {"authorization": f"Bearer {self.keys['staff-7']}"}
        url = f"{self.made.url}/v1/chat/completions"
        answer = httpx.post(url, json=said, headers=key, timeout=30, trust_env=False)
        assert answer.status_code == 303, answer.text
        [hold] = {hold["id"] for hold in self.reviewer.holds()} - before
        return self.reviewer.look(hold)

    def page(self, hold: dict[str, Any]) -> str:
        """Where people look at it."""
        return f"{self.made.url}/approvals/{hold['id']}"

    def visit(self, who: str, hold: dict[str, Any], *steps: Any, **options: Any) -> list[Any]:
        """Follow the link to a hold, sign in with a key where that is asked for, and go on from
        there; what the further steps said. With other `options` it is another browser.
        """
        profile = f"{who} {orjson.dumps(options).decode()}"
        if profile in self.signed_in:
            return self.chromium.run(profile, ("goto", self.page(hold)), *steps, **options)[1:]
        self.signed_in.add(profile)
        return self.chromium.visit(profile, self.page(hold), self.keys[who], *steps, **options)

    def stands(self, hold: dict[str, Any], status: str) -> dict[str, Any]:
        """Wait until the hold is in this state."""
        until = time.monotonic() + ANSWERED_S
        while (now := self.reviewer.look(hold["id"]))["status"] != status:
            assert time.monotonic() < until, now["status"]
            time.sleep(0.05)
        return now


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    put_in_place()
    with in_thread() as backend, Chromium() as chromium:
        made = Installation(tmp_path_factory.mktemp("p"), {"*": backend.url})
        made.write()
        _plain_case(made.folder / "policies" / "data.yaml")
        made.start()
        try:
            yield House(made, backend, chromium)
        finally:
            made.stop()


def _plain_case(data: Path) -> None:
    """A low risk, and step 2: a person sees each tool call."""
    row = 'ladder:\n  - {for: "group:employees", step: 2}\n'
    text = data.read_text().replace("ladder: []\n", row).replace("  risk: 50", "  risk: 10")
    data.write_text(text)


def test_a_plain_case_is_decided_in_two_keystrokes_with_all_of_it_in_view(house: House) -> None:
    """From the link on: everything bound is on the first screen, and the client gets its answer."""
    got: list[Any] = []
    client = openai.OpenAI(base_url=f"{house.made.url}/v1", api_key=house.keys["staff-7"])
    asked = [{"role": "user", "content": "Our customer list, in one line."}]
    waiting = threading.Thread(
        target=lambda: got.append(client.chat.completions.create(model="ok", messages=asked))  # type: ignore[call-overload]
    )
    waiting.start()
    hold = house.reviewer.find("in one line")
    keystrokes = (("press", "a"), ("press", "Enter"))

    said = house.visit(
        "reviewer-1",
        hold,
        ("text", "main"),
        ("text", "#binding"),
        ("ask", _UNSEEN),
        *keystrokes,
        ("gone", ".deck"),
        ("text", ".eyebrow"),
    )

    for value in (
        *_leaves(orjson.loads(hold["outgoing"]["text"])),
        hold["backend"],
        *hold["rules"],
    ):
        assert value in said[0]
    assert said[1] == hold["binding"]
    assert said[2] == []
    assert len(keystrokes) <= 3
    waiting.join(ANSWERED_S)
    assert got[0].choices[0].message.content == "word " * house.backend.words
    [review] = [
        leaf
        for leaf in events_of(house.made.leaves(), "hold.review")
        if leaf["data"]["hold"] == hold["id"]
    ]
    assert review["data"]["binding"] == hold["binding"]


# What is bound, but not wholly on the first screen.
_UNSEEN = """
[...document.querySelectorAll(".why p, .bound .said, .bound .rows tr, .facts dd, .deck")]
  .filter((place) => place.checkVisibility())
  .filter((place) => {
    const box = place.getBoundingClientRect();
    return box.top < 0 || box.left < 0 || box.bottom > innerHeight || box.right > innerWidth;
  }).map((place) => place.innerText)"""


def _leaves(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _leaves(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _leaves(inner)]
    return [value if isinstance(value, str) else orjson.dumps(value).decode()]


def test_a_denial_by_keyboard_needs_a_reason_which_the_asker_reads(house: House) -> None:
    """Enter alone denies nothing; on the asker's page stands the reason."""
    hold = house.ask("Our customer list, please.")
    house.visit(
        "reviewer-1",
        hold,
        ("press", "d"),
        ("press", "Enter"),
        ("count", ".deck"),
        ("type", "Ask the owner of the list first."),
        ("press", "Enter"),
        ("gone", ".deck"),
    )

    assert house.stands(hold, "denied")
    said = house.visit(
        "staff-7",
        hold,
        ("text", ".standing"),
        ("fill", "#appeal", "The owner has agreed."),
        ("click", "button[value=appeal]"),
        ("wait", ".note"),
        ("text", "main"),
    )
    assert "Ask the owner of the list first." in said[0]
    appeals = events_of(house.made.leaves(), "exchange.appealed")
    assert [one["exchange"] for one in appeals] == [hold["exchange"]]


def test_a_letter_alone_decides_nothing(house: House) -> None:
    """Also while one writes, and with keys of the browser held down."""
    hold = house.ask("Our customer list, by letters.")
    house.visit(
        "reviewer-1",
        hold,
        *(("press", key) for key in ("a", "d", "Escape", "Control+a", "x", "j", "k")),
        ("fill", "#reason", "a d e q"),
        ("count", ".deck"),
    )
    assert house.stands(hold, "pending")["reviews"] == []


def test_arguments_are_changed_by_one_and_approved_by_another(house: House) -> None:
    """The second sees what changed; the first has no button for it; what was written goes out."""
    hold = house.ask("Write down what customer 7 wants.", tools=TOOLS)
    assert hold["stage"] == "tool_call"
    mine = house.visit(
        "reviewer-1",
        hold,
        ("press", "e"),
        ("fill", "#arguments-0", '{"customer": 8}'),
        ("check", "[name=drop-1]"),
        ("click", "[value=edit]"),
        ("wait", ".versions"),
        ("axe",),
        ("count", ".deck [value=approve]"),
        ("count", ".deck [value=deny]"),
    )
    assert mine[-3:] == [[], 0, 1]

    other = house.visit(
        "reviewer-2",
        hold,
        ("text", ".versions"),
        ("press", "a"),
        ("press", "Enter"),
        ("gone", ".deck"),
    )
    assert "7" in other[0]
    assert "8" in other[0]
    assert house.stands(hold, "ready")
    [seen] = house.visit("staff-7", hold, ("text", ".standing"))
    assert '{"customer": 8}' in seen


@pytest.mark.parametrize("stage", ["request", "tool_call"])
def test_content_stays_inert_in_a_browser(house: House, stage: str) -> None:
    """Markup runs nothing, loads nothing and presses nothing; what hides is spelled out."""
    more: dict[str, Any] = {}
    if stage == "tool_call":
        function = {"name": "crm_write", "description": EVIL, "parameters": {"title": EVIL}}
        more = {"tools": [{"type": "function", "function": function}]}
    hold = house.ask(f"Our customer list. {EVIL}" if stage == "request" else "Write.", **more)
    said = house.visit(
        "reviewer-1",
        hold,
        ("ask", "window.pwned === undefined"),
        (
            "count",
            "main img, main style, main script, main iframe, main [autofocus], main a[href^=http]",
        ),
        ("count", "main form"),
        ("text", "main"),
        ("ask", "document.activeElement === document.body"),
        ("press", "Enter"),
        ("axe",),
    )

    assert said[0] is True
    assert said[1] == 0
    assert said[4] is True
    assert said[6] == []
    if stage == "request":
        assert said[2] == 1
        assert "<script>window.pwned=1</script>" in said[3]
        assert "U+202Eevorppa sserPU+202C payU+200Bpal" in said[3]
    assert house.stands(hold, "pending")["reviews"] == []


@pytest.mark.parametrize(
    ("who", "language"), [("reviewer-1", "en"), ("reviewer-1", "zh"), ("staff-7", "ja")]
)
def test_every_page_is_accessible_and_fits(house: House, who: str, language: str) -> None:
    """Axe finds nothing, in the dark on a desk and in the light on a phone, before and after
    signing in; and nothing sticks out at the side of the phone.
    """
    request = house.ask(f"Our customer list. {EVIL} {'long' * 60}")
    calls = house.ask("Write down what customer 7 wants.", tools=TOOLS)
    shots: list[tuple[Any, ...]] = []
    fourth = f"{house.made.url}/approvals/figures"
    if who == "staff-7":
        denied = house.ask("Our customer list, to be denied.")
        house.reviewer.answer(denied, "deny")
        fourth = house.page(denied)
    for address in (house.page(request), house.page(calls), f"{house.made.url}/approvals", fourth):
        shots.append(("goto", address))
        if language == "en":  # colours are the same in every language
            shots += [("dark",), ("axe",), ("light",)]
        shots += [("size", *PHONE.values()), ("axe",), ("ask", _STICKS_OUT), ("size", 1280, 800)]
    everywhere: Any = {"locale": LOCALES[language]}
    said = house.visit(who, request, *shots, ("ask", _LANGUAGE), **everywhere)
    found = [one for step, one in zip(shots, said, strict=False) if step[0] in {"axe", "ask"}]
    assert found == ([[], [], 0] if language == "en" else [[], 0]) * 4
    assert said[-1].startswith(language)

    pages = [f"{house.made.url}{path}" for path in ("/login", "/approvals/none")]
    before = [step for address in pages for step in (("goto", address), ("axe",))]
    said = house.chromium.run(f"nobody-{next(_people)}", *before, **everywhere)
    assert said == [200, [], 404, []]


_LANGUAGE = "document.documentElement.lang"
_STICKS_OUT = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def test_somebody_else_sees_that_there_is_nothing(house: House) -> None:
    """A page that says so and leads on, without a word of the hold."""
    hold = house.ask("Our customer list, not for you.")
    said = house.visit("staff-8", hold, ("goto", house.page(hold)), ("text", "main"))
    assert said[0] == 404
    assert hold["rules"][0] not in said[1]
    assert "not for you" not in said[1]


def test_what_changed_meanwhile_has_to_be_read_again(house: House) -> None:
    """The old page decides nothing; from the new one it can be decided."""
    hold = house.ask("Write down what customer 7 wants.", tools=TOOLS)
    slow = f"slow-{next(_people)}"
    house.chromium.run(
        slow,
        ("goto", house.page(hold)),
        ("fill", "#key", house.keys["reviewer-1"]),
        ("press", "Enter"),
        ("wait", ".deck"),
    )
    bound = {"binding": hold["binding"], "calls": [{"place": 1, "drop": True}]}
    key = {"authorization": f"Bearer {house.keys['reviewer-2']}"}
    url = f"{house.made.url}/v1/approvals/{hold['id']}/edits"
    httpx.post(url, json=bound, headers=key, trust_env=False).raise_for_status()

    said = house.chromium.run(
        slow,
        ("press", "a"),
        ("press", "Enter"),
        ("wait", ".fault"),
        ("count", ".deck"),
        ("axe",),
        ("click", ".fault a"),
        ("wait", ".deck"),
        ("press", "a"),
        ("press", "Enter"),
        ("gone", ".deck"),
    )
    assert said[3:5] == [0, []]
    assert house.stands(hold, "ready")


def test_it_all_works_without_scripts_on_a_phone(house: House) -> None:
    """Who asked takes one back, a reviewer denies one and approves one, by touch alone."""
    plain: Any = {"javaScriptEnabled": False, "viewport": PHONE}
    back, no, yes = (house.ask(f"Our customer list, {n}.") for n in ("back", "no", "yes"))

    withdraw = (("click", "[value=withdraw]"), ("wait", ".state.withdrawn"))
    house.visit("staff-7", back, *withdraw, **plain)
    deny = (("fill", "#reason", "No."), ("click", "[value=deny]"), ("wait", ".state.denied"))
    house.visit("reviewer-1", no, *deny, **plain)
    approve = (("click", "[value=approve]"), ("gone", ".deck"))
    house.visit("reviewer-1", yes, *approve, **plain)

    assert house.stands(back, "withdrawn")
    assert house.stands(no, "denied")
    house.stands(yes, "ready")
    [seen] = house.visit("staff-7", yes, ("text", ".standing"), **plain)
    assert "word word" in seen


def test_the_queue_is_walked_by_keyboard(house: House) -> None:
    """J goes down, Enter opens, q comes back."""
    house.ask("Our customer list, queued.")
    hold = house.ask("Our customer list, queued too.")
    said = house.visit(
        "reviewer-1",
        hold,
        ("press", "q"),
        ("wait", ".queue"),
        ("press", "j"),
        ("ask", "document.activeElement.href"),
        ("press", "Enter"),
        ("wait", ".deck"),
        ("url",),
    )
    assert said[3] == said[6]
    assert "/approvals/hold_" in said[6]
