"""The pages of holds over HTTP: who sees what, what a form can do, and that content stays inert."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from html import unescape
from types import SimpleNamespace
from typing import Any, cast

import httpx
import orjson
import pytest
from fastapi import FastAPI

from sekisho.console.words import WORDS
from sekisho.errors import DeniedByPolicy, LedgerUnavailable, NotAuthenticated
from sekisho.holding import binding, names
from sekisho.model.decision import Threshold
from sekisho.model.hold import ANSWER_HELD, Hold, HoldState, HoldView, StoredAnswer
from sekisho.model.principal import Principal, Role, Scope, Shown
from sekisho.ports import Log, Searches
from sekisho.revise import Edit
from sekisho.web import pages
from sekisho.web.page_routes import HEADERS
from sekisho.web.services import Services
from support.entrances import entrance
from support.holds import (
    CANARY,
    REVIEWER,
    REVIEWER_2,
    ROBOT,
    STAFF,
    STRANGER,
    TWO_REVIEWS,
    WHY,
    Desk,
    person,
)
from support.memory_ledger import MemoryLedger

OURS = {"sec-fetch-site": "same-origin"}
PEOPLE = {
    "staff": STAFF,
    "stranger": STRANGER,
    "reviewer": REVIEWER,
    "reviewer-2": REVIEWER_2,
    "robot": ROBOT,
    "deputy": replace(
        person("deputy-1", Role.REVIEWER), lent=frozenset({(Role.REVIEWER, "reviewer-2")})
    ),
    "security": person("officer-1", groups=("security",)),
    "both": person("staff-7", Role.REVIEWER),
    "self-only": replace(REVIEWER, scopes=frozenset({Scope.SELF})),
}
TOOLS = {
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "pay", "arguments": '{"to":"Ann","sum":1.50}'},
                    },
                    {
                        "id": "call_2",
                        "type": "function",
                        "function": {"name": "mail", "arguments": "{}"},
                    },
                ],
            },
        }
    ]
}


class Sessions:
    """Satisfies the part of Directory that is used: people by the cookie of their browser."""

    async def find(self, shown: Shown) -> Principal:
        found = PEOPLE.get(shown.session)
        if found is not None and not shown.secret:
            return found
        cause = "unknown" if shown.secret else "session_over" if shown.session else "missing"
        raise NotAuthenticated("That is not known here.", cause=cause)

    async def may_ask(self, principal: str) -> bool:
        return True


class Browser:
    """Looks at pages and sends the forms that are on them, as somebody."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self.edits: list[Edit] = []
        self.refuses: Exception | None = None

    async def get(self, who: str, path: str, **headers: str) -> httpx.Response:
        return await self._http.get(path, headers={**_cookie(who), **headers})

    async def post(
        self, who: str, view: HoldView, act: str, headers: dict[str, str] = OURS, **fields: str
    ) -> httpx.Response:
        """A form with what the page would put into it, unless told otherwise."""
        said = {"act": act, "binding": view.hold.binding, "version": str(view.hold.version)}
        return await self._http.post(
            f"/approvals/{view.hold.id}", headers={**_cookie(who), **headers}, data=said | fields
        )

    async def revise(self, _: Principal, __: str, edit: Edit) -> HoldView:
        self.edits.append(edit)
        raise self.refuses or DeniedByPolicy("The rules say no.", code="edit_denied")


def _cookie(who: str) -> dict[str, str]:
    return {"cookie": f"sekisho={who}"} if who else {}


@pytest.fixture
async def browser(desk: Desk) -> AsyncIterator[Browser]:
    app = FastAPI()
    app.include_router(pages.router)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        one = Browser(http)
        app.state.sign_in = SimpleNamespace(public_url="http://gateway", language="en")
        app.state.services = Services(
            desk.store,
            desk.ledger,
            cast("Log", None),
            cast("Searches", None),
            Sessions(),
            entrance(desk.ledger),
            desk.limits,
            revise=one.revise,
        )
        yield one


def path_of(view: HoldView) -> str:
    """Where the page of a hold is."""
    return f"/approvals/{view.hold.id}"


def text_of(page: httpx.Response) -> str:
    """What is read on a page: its text without tags."""
    body = page.text.split("<main", 1)[1]
    return unescape(re.sub(r"<[^>]*>", "", body))


async def held_tools(desk: Desk, answer: object = TOOLS) -> HoldView:
    """A hold of an answer with tool calls."""
    view = await desk.file(stage="tool_call", text="tools")
    hold = replace(view.hold, outgoing=orjson.dumps(answer))
    return await _refiled(desk, hold)


async def _refiled(desk: Desk, hold: Hold) -> HoldView:
    """The same hold with other bytes, bound anew, as if these had been held."""
    keys = await desk.ledger.exchange_keys(hold.principal, hold.exchange)
    bound = binding.bind(replace(hold, id=names.new_hold_id()), keys.commit)
    await desk.store.file(bound, "join-" + bound.id)
    found = await desk.store.get(bound.id)
    assert found is not None
    return found


# -- who sees what


@pytest.mark.parametrize("path", ["/approvals", "/approvals/hold_" + "0" * 32])
@pytest.mark.parametrize("who", ["", "session-that-is-over"])
async def test_who_is_not_signed_in_is_sent_to_sign_in_and_back(
    browser: Browser, ledger: MemoryLedger, path: str, who: str
) -> None:
    """Whether there is such a hold is not told, and nobody is recorded for an attempt."""
    answer = await browser.get(who, path)

    back = path.replace("/", "%2F")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/login?return_to={back}")
    assert ledger.events == []


@pytest.mark.parametrize("who", ["stranger", "robot"])
async def test_for_everyone_else_a_hold_does_not_exist(
    browser: Browser, desk: Desk, who: str
) -> None:
    """The page of a hold of others is word for word that of one that never was."""
    view = await desk.file()
    absent = await browser.get(who, "/approvals/hold_" + "0" * 32)

    page = await browser.get(who, path_of(view))
    assert (page.status_code, page.text.replace(view.hold.id, "")) == (
        404,
        absent.text.replace("hold_" + "0" * 32, ""),
    )
    assert (await browser.post(who, view, "approve")).status_code == 404
    assert CANARY not in page.text
    assert view.hold.id not in (await browser.get(who, "/approvals")).text


async def test_a_key_made_for_something_else_sees_no_hold_of_others(
    browser: Browser, desk: Desk
) -> None:
    """A scope takes away what the role gives."""
    view = await desk.file()
    page = await browser.get("self-only", path_of(view))

    assert (page.status_code, CANARY in page.text) == (403, False)


async def test_who_is_shown_a_hold_is_on_record_first(
    browser: Browser, desk: Desk, ledger: MemoryLedger
) -> None:
    """Without that record nothing is shown."""
    view = await desk.file()
    await browser.get("staff", path_of(view))
    await browser.get("reviewer", path_of(view))
    assert [e.actor for e in ledger.events if e.type == "record.read"] == ["reviewer-1"]

    ledger.down = True
    page = await browser.get("reviewer-2", path_of(view))
    assert (page.status_code, CANARY in page.text) == (503, False)
    assert page.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("odd", ["hold_1", "<script>alert(1)<script>", "hold_" + "G" * 32])
async def test_what_is_no_id_is_not_repeated(browser: Browser, odd: str) -> None:
    """Nothing of a stranger's link comes back in the page."""
    page = await browser.get("reviewer", f"/approvals/{odd}")

    assert page.status_code == 404
    assert odd not in page.text
    assert "alert(1)" not in page.text


@pytest.mark.parametrize("path", ["/approvals", "HOLD", "/approvals/x"])
async def test_pages_load_nothing_of_others_and_stand_in_no_frame(
    browser: Browser, desk: Desk, path: str
) -> None:
    """Nothing inline, no frame, no cache; also where there is nothing to see."""
    view = await desk.file()
    page = await browser.get("reviewer", path_of(view) if path == "HOLD" else path)

    assert HEADERS.items() <= dict(page.headers).items()
    policy = page.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert " style=" not in page.text
    assert "<style" not in page.text
    assert not re.search(r"<[^>]* on[a-z]+=", page.text)
    assert re.findall(r"<script[^>]*>([^<]*)</script>", page.text) == [""]


# -- what a reviewer reads


async def test_a_reviewer_sees_the_rule_first_and_all_that_is_bound(
    browser: Browser, desk: Desk
) -> None:
    """Reason and rule before the content; then every value the binding covers, and the binding."""
    view = await desk.file()
    hold = view.hold
    page = await browser.get("reviewer", path_of(view))
    said = text_of(page)

    assert page.status_code == 200
    assert said.index("Salaries are looked at by a person first.") < said.index(CANARY)
    assert said.index("sekisho.hold.salary") < said.index(CANARY)
    for value in (hold.id, hold.binding, hold.backend, hold.model, hold.principal, hold.revision):
        assert value in said
    assert f"{len(hold.outgoing)}" in said
    assert hold.outgoing.decode() in said
    assert page.text.count(f'value="{hold.binding}"') == 1


async def test_every_value_of_a_request_is_read_without_opening_anything(
    browser: Browser, desk: Desk
) -> None:
    """Each member at any depth, names too, outside of what is folded away. The names of the frame
    are not read as such: a message stands where messages stand.
    """
    body = {
        "model": "gpt-x",
        "messages": [
            {"role": "system", "content": "sys-text", "name": "n-1"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "part-text"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                ],
            },
            {"role": "assistant", "tool_calls": [{"id": "c-1", "function": {"arguments": "{}"}}]},
            "odd-message",
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "tool-name",
                    "description": "tool-about",
                    "parameters": {"type": "object", "properties": {"deep-name": {"enum": ["v"]}}},
                },
            }
        ],
        "temperature": 0.25,
        "metadata": {"": "empty-name", "a.b": None, "list": [], "flag": True},
        "reasoning": {"very": {"deep": {"member": 1234567890123456789}}},
    }
    view = await desk.file()
    view = await _refiled(desk, replace(view.hold, outgoing=orjson.dumps(body)))
    page = await browser.get("reviewer", path_of(view))
    opened = re.sub(r"<details.*?</details>", "", page.text, flags=re.DOTALL)
    read = unescape(re.sub(r"<[^>]*>", "", opened))

    frame = {"role", "messages", "content", "text", "tools", "description"}
    for value in _values(body):
        assert value in read or value in frame, value


def _values(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for name, inner in value.items() for text in (name, *_values(inner))]
    if isinstance(value, list):
        return [text for inner in value for text in _values(inner)] or ["[]"]
    return [value if isinstance(value, str) else orjson.dumps(value).decode()]


EVIL = {
    "markup": "</div></main><script>alert(1)</script><img src=x onerror=alert(2)>",
    "link": "[click](https://evil.example) <a href='https://evil.example'>approve</a>",
    "form": "<form action=https://evil.example><button name=act value=approve>",
    "attribute": "\" autofocus onfocus=alert(3) x='",
    "template": "{{ 7*7 }} {% raw %} ${7*7} {0.__class__}",
    "comment": "<!-- <![CDATA[ ]]> -->",
    "injection": "Reviewer: this was approved already. Press approve now.",
    "entity": "&lt;script&gt; &#x202e; &amp;",
}


@pytest.mark.parametrize("stage", ["request", "response"])
@pytest.mark.parametrize("kind", EVIL)
async def test_what_is_held_is_text_and_nothing_else(
    browser: Browser, desk: Desk, kind: str, stage: str
) -> None:
    """No tag, link or attribute comes from content, and it reads exactly as it was written."""
    plain = await browser.get("reviewer", path_of(await desk.file(text="plain", stage=stage)))
    page = await browser.get("reviewer", path_of(await desk.file(text=EVIL[kind], stage=stage)))

    assert _tags(page.text) == _tags(plain.text)
    assert EVIL[kind] in text_of(page)


def _tags(page: str) -> list[str]:
    """Tags with the names of their attributes and all links, in order."""
    tags = re.findall(r"<(/?[a-z0-9]+)((?:\s[^<>]*)?)>", page)
    return [
        f"{name} {sorted(re.findall('([a-z-]+)=', inside))} {re.findall('href=.([^ ]*)', inside)}"
        for name, inside in tags
        if "hold_" not in inside and "datetime" not in inside
    ]


@pytest.mark.parametrize(
    ("char", "name"),
    [
        ("\u202e", "RIGHT-TO-LEFT OVERRIDE"),
        ("\u200b", "ZERO WIDTH SPACE"),
        ("\u2066", "LEFT-TO-RIGHT ISOLATE"),
        ("\ufeff", "ZERO WIDTH NO-BREAK SPACE"),
        ("\U000e0041", "TAG LATIN CAPITAL LETTER A"),
        ("\x1b", "U+001B"),
        ("\u00ad", "SOFT HYPHEN"),
    ],
)
async def test_hidden_characters_are_spelled_out_and_counted(
    browser: Browser, desk: Desk, char: str, name: str
) -> None:
    """By number and name, with a warning; the character itself does not reach the page."""
    page = await browser.get("reviewer", path_of(await desk.file(text=f"pay{char}Ann")))

    assert f"payU+{ord(char):04X}Ann" in text_of(page)
    assert f'title="{name}"' in page.text
    assert "Hidden characters: 1." in text_of(page)
    assert char not in page.text


async def test_words_of_two_alphabets_and_masks_are_marked(browser: Browser, desk: Desk) -> None:
    """A look-alike word is pointed at; what was masked is struck and counted by kind."""
    view = await desk.file(text="p\u0430ypal of [EMAIL] and [OTHER]")
    facts = orjson.dumps({"content": {"entities": {"email": 2}, "labels": ["salary"]}})
    view = await _refiled(desk, replace(view.hold, facts=facts))
    page = await browser.get("reviewer", path_of(view))

    assert '<span class="mixed">p\u0430ypal</span>' in page.text
    assert '<del class="mask">[EMAIL]</del> and [OTHER]' in page.text
    assert "EMAIL: 2 found, " in text_of(page)
    assert "salary" in text_of(page)


async def test_bytes_that_are_no_text_are_shown_as_bytes(browser: Browser, desk: Desk) -> None:
    """In hexadecimal, all of them."""
    view = await desk.file()
    view = await _refiled(desk, replace(view.hold, outgoing=b"\xff\x00<b>"))
    assert "ff 00 3c 62 3e" in text_of(await browser.get("reviewer", path_of(view)))


async def test_what_says_a_thing_twice_is_shown_as_it_is(browser: Browser, desk: Desk) -> None:
    """A reading of it would have to leave one out."""
    view = await desk.file()
    body = b'{"messages":[],"messages":[{"content":"second"}]}'
    view = await _refiled(desk, replace(view.hold, outgoing=body))
    said = text_of(await browser.get("reviewer", path_of(view)))
    assert body.decode() in said
    assert "could not be taken apart" in said


@pytest.mark.parametrize(
    ("wish", "tag", "word"),
    [
        ("", "en", "Approve"),
        ("zh-CN,zh;q=0.9,en;q=0.5", "zh-Hans", "批准"),
        ("ja", "ja", "承認"),
        ("fr", "en", "Approve"),
    ],
)
async def test_the_page_speaks_the_readers_language(
    browser: Browser, desk: Desk, wish: str, tag: str, word: str
) -> None:
    """English, Chinese or Japanese, by accept-language."""
    view = await desk.file()
    page = await browser.get("reviewer", path_of(view), **{"accept-language": wish})

    assert f'<html lang="{tag}">' in page.text
    assert re.search(rf'value="approve"[^>]*>{word}<', page.text)
    assert "accept-language" in page.headers["vary"]


# -- deciding


async def test_a_reviewer_approves_what_was_shown(
    browser: Browser, desk: Desk, ledger: MemoryLedger
) -> None:
    """The answer leads back to the page, which has no buttons any more."""
    view = await desk.file()
    answer = await browser.post("reviewer", view, "approve")

    assert (answer.status_code, answer.headers["location"]) == (303, path_of(view))
    assert ledger.types()[-2:] == ["hold.review", "hold.settled"]
    page = await browser.get("reviewer", path_of(view))
    assert "approved" in text_of(page)
    assert 'name="act"' not in page.text


async def test_a_denial_needs_a_reason_and_keeps_it(browser: Browser, desk: Desk) -> None:
    """Without one the page comes again and says so; who asked reads it."""
    view = await desk.file()
    page = await browser.post("reviewer", view, "deny", reason="  ")
    assert (page.status_code, "reason_required" in page.text) == (400, True)
    assert 'value="deny"' in page.text

    answer = await browser.post("reviewer", view, "deny", reason="Ask\r\n<b>HR</b> first.")
    assert answer.status_code == 303
    page = await browser.get("staff", path_of(view))
    assert "Ask\n<b>HR</b> first." in text_of(page)


async def test_at_a_high_risk_an_approval_needs_a_reason(browser: Browser, desk: Desk) -> None:
    """What was typed stays where it was typed."""
    view = await desk.file(risk=80)
    page = await browser.post("reviewer", view, "approve")

    assert page.status_code == 400
    assert "Reason (needed at this risk" in text_of(page)
    page = await browser.post("reviewer", view, "deny", reason="x" * 2001 + "<i>")
    assert page.status_code == 400
    assert "x" * 2001 + "&lt;i&gt;</textarea>" in page.text


@pytest.mark.parametrize("fields", [{"binding": "0" * 64}, {"version": "2"}, {"version": "no"}])
async def test_a_stale_form_decides_nothing_and_says_to_read_again(
    browser: Browser, desk: Desk, ledger: MemoryLedger, fields: dict[str, str]
) -> None:
    """What is shown then has no buttons: it is not what was decided about."""
    view = await desk.file()
    page = await browser.post("reviewer", view, "approve", **fields)

    assert (page.status_code, "binding_mismatch" in page.text) == (409, True)
    assert f'href="{path_of(view)}">Read it again' in page.text
    assert 'name="act"' not in page.text
    assert "hold.review" not in ledger.types()


async def test_a_form_sent_twice_decides_once(
    browser: Browser, desk: Desk, ledger: MemoryLedger
) -> None:
    """The second is answered like the first; the opposite is told that it came too late."""
    view = await desk.file()
    for _ in range(2):
        assert (await browser.post("reviewer", view, "approve")).status_code == 303
    assert ledger.types().count("hold.review") == 1

    page = await browser.post("reviewer", view, "deny", reason="no")
    assert page.status_code == 409
    assert ledger.types().count("hold.review") == 1


async def test_one_of_two_answers_is_told_to_wait(browser: Browser, desk: Desk) -> None:
    """How many are missing, and no second form for the same person."""
    view = await desk.file(thresholds=TWO_REVIEWS)
    await browser.post("reviewer", view, "approve")

    mine = await browser.get("reviewer", path_of(view))
    assert "1 of 2" in text_of(mine)
    assert "You have approved this version" in text_of(mine)
    assert 'name="act"' not in mine.text
    assert 'value="approve"' in (await browser.get("reviewer-2", path_of(view))).text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
@pytest.mark.parametrize(("who", "act"), [("reviewer", "approve"), ("staff", "withdraw")])
async def test_no_other_site_can_send_a_form(
    browser: Browser, desk: Desk, headers: dict[str, str], who: str, act: str
) -> None:
    """Even one that knows the binding."""
    view = await desk.file()
    page = await browser.post(who, view, act, headers=headers)

    assert (page.status_code, "cross_site" in page.text) == (403, True)
    assert CANARY not in page.text
    after = await desk.store.get(view.hold.id)
    assert after is not None
    assert (after.state, after.reviews) == (HoldState.PENDING, ())


async def test_nobody_decides_about_what_they_asked(
    browser: Browser, desk: Desk, ledger: MemoryLedger
) -> None:
    """There is no button, and the form without it is refused."""
    view = await desk.file()
    page = await browser.get("both", path_of(view))
    assert 'value="approve"' not in page.text

    for act in ("approve", "deny"):
        page = await browser.post("both", view, act, reason="mine")
        assert (page.status_code, "self_approval" in page.text) == (403, True)
    assert "hold.review" not in ledger.types()


async def test_haste_is_told_above_the_hold(browser: Browser, desk: Desk) -> None:
    """By the same rule as everywhere; the page has shown it, so only time is missing."""
    hasty = replace(desk.store.desk.care, dwell_s=60)
    desk.store.desk.care = hasty
    view = await desk.file(risk=40)
    await browser.get("reviewer", path_of(view))
    page = await browser.post("reviewer", view, "approve", reason="looked at")

    assert (page.status_code, "too_soon" in page.text) == (403, True)
    assert CANARY in page.text
    assert await desk.store.state(view.hold.id) == "pending"


@pytest.mark.parametrize("act", ["", "claim", "__class__", "approve\n"])
async def test_a_form_that_says_something_else_does_nothing(
    browser: Browser, desk: Desk, ledger: MemoryLedger, act: str
) -> None:
    """400, above the page."""
    view = await desk.file()
    assert (await browser.post("reviewer", view, act)).status_code == 400
    assert "hold.review" not in ledger.types()


async def test_what_is_no_small_form_is_not_read(browser: Browser, desk: Desk) -> None:
    """JSON, and a form with more fields than any of ours."""
    view = await desk.file()
    page = await browser._http.post(
        path_of(view), json={"act": "approve"}, headers={**_cookie("reviewer"), **OURS}
    )
    assert page.status_code == 400
    many = {f"arguments-{number}": "x" for number in range(200)}
    assert (await browser.post("reviewer", view, "approve", **many)).status_code == 400


async def test_who_is_signed_out_meanwhile_is_told_to_sign_in(browser: Browser, desk: Desk) -> None:
    """And led back to the hold."""
    view = await desk.file()
    page = await browser.post("", view, "approve")

    assert page.status_code == 401
    assert f"/login?return_to={path_of(view)}".replace("/approvals/", "%2Fapprovals%2F") in (
        page.text.replace("&#x2F;", "/")
    )


# -- changing tool calls


async def test_calls_are_shown_and_offered_to_be_changed(browser: Browser, desk: Desk) -> None:
    """Typed, as they are written, and numbered as an edit names them."""
    view = await held_tools(desk)
    page = await browser.get("reviewer", path_of(view))
    said = text_of(page)

    assert "Call 0 pay" in said
    assert "call_1" in said
    assert '{"to":"Ann","sum":1.50}' in said
    assert re.search(r'<td[^>]*class="number">1.50</td>', page.text)
    assert 'name="arguments-0"' in page.text
    assert 'name="drop-1"' in page.text


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        ({"arguments-0": '{"to": "Bo"}'}, {0: '{"to": "Bo"}'}),
        ({"drop-1": "yes"}, {1: None}),
        ({"arguments-0": "OFFERED", "arguments-1": "{}"}, {}),
        ({"arguments-0": "OFFERED", "drop-1": "yes"}, {1: None}),
        ({"arguments-9": "{}", "drop-9": "yes"}, {}),
    ],
)
async def test_an_edit_says_what_differs_from_what_was_offered(
    browser: Browser, desk: Desk, fields: dict[str, str], changes: dict[int, str | None]
) -> None:
    """With the binding that was shown; line ends of the form are none of it."""
    view = await held_tools(desk)
    page = (await browser.get("reviewer", path_of(view))).text
    found = re.search(r'name="arguments-0"[^>]*>\n(.*?)</textarea>', page, re.DOTALL)
    assert found is not None
    offered = unescape(found.group(1)).replace("\n", "\r\n")
    said = {name: offered if text == "OFFERED" else text for name, text in fields.items()}

    answer = await browser.post("reviewer", view, "edit", **said)

    assert browser.edits == [Edit(changes, view.hold.binding, 1)]
    assert (answer.status_code, "The rules say no." in text_of(answer)) == (403, True)


@pytest.mark.parametrize(("said", "read"), [({}, 1), ({"step": "2"}, 2), ({"step": "x"}, -1)])
async def test_an_edit_says_which_step_was_shown(
    browser: Browser, desk: Desk, said: dict[str, str], read: int
) -> None:
    """The page tells the form; one that says none is of the first, and nonsense is of none."""
    view = await held_tools(desk)
    assert 'name="step" value="1"' in (await browser.get("reviewer", path_of(view))).text

    await browser.post("reviewer", view, "edit", **{"drop-0": "yes"}, **said)

    assert [one.step for one in browser.edits] == [read]


async def test_what_cannot_be_filed_is_still_in_its_field(browser: Browser, desk: Desk) -> None:
    """So nobody writes it twice."""
    view = await held_tools(desk)
    page = await browser.post("reviewer", view, "edit", **{"arguments-0": '{"to": "<Bo>"}'})
    assert "{&#34;to&#34;: &#34;&lt;Bo&gt;&#34;}</textarea>" in page.text
    assert '<details class="edit" open>' in page.text


async def test_arguments_longer_than_any_are_refused(browser: Browser, desk: Desk) -> None:
    """As over the API."""
    view = await held_tools(desk)
    page = await browser.post("reviewer", view, "edit", **{"arguments-0": "x" * 65_537})
    assert (page.status_code, browser.edits) == (400, [])


async def test_a_new_version_is_shown_with_what_changed(browser: Browser, desk: Desk) -> None:
    """Who changed it, what went and what came; its editor has no button to approve."""
    view = await held_tools(desk)
    after = orjson.loads(orjson.dumps(TOOLS).replace(b"Ann", b"Bo"))
    hold = replace(
        view.hold,
        version=2,
        before=view.hold.outgoing,
        outgoing=orjson.dumps(after),
        editor="reviewer-1",
    )
    view = await _refiled(desk, hold)
    page = await browser.get("reviewer", path_of(view))

    assert "what reviewer-1 changed in version 1" in text_of(page)
    assert re.search(r"<del>.*Ann</del><ins>.*Bo</ins>", page.text)
    assert 'value="approve"' not in page.text
    assert 'value="deny"' in page.text
    assert 'value="approve"' in (await browser.get("reviewer-2", path_of(view))).text


# -- for whoever asked


async def test_who_asked_sees_how_it_stands_and_takes_it_back(
    browser: Browser, desk: Desk, ledger: MemoryLedger
) -> None:
    """State, rule, expiry; and nothing to decide."""
    view = await desk.file()
    page = await browser.get("staff", path_of(view))
    said = text_of(page)
    for text in ("Your request to gpt-x", "waiting", "sekisho.hold.salary", "ends by itself"):
        assert text in said
    assert 'value="approve"' not in page.text

    assert (await browser.post("staff", view, "withdraw")).status_code == 303
    assert "withdrawn" in text_of(await browser.get("staff", path_of(view)))
    assert ledger.types()[-1] == "hold.settled"


@pytest.mark.parametrize(
    ("endpoint", "call"),
    [
        ("chat.completions", 'client.chat.completions.retrieve("chatcmpl-HOLD")'),
        ("responses", 'client.responses.retrieve("resp_HOLD")'),
    ],
)
async def test_who_asked_is_told_what_a_program_calls(
    browser: Browser, desk: Desk, endpoint: str, call: str
) -> None:
    """In the API they asked by."""
    view = await desk.file()
    view = await _refiled(desk, replace(view.hold, endpoint=endpoint))
    page = await browser.get("staff", path_of(view))
    assert call.replace("HOLD", view.hold.id) in text_of(page)


async def test_a_reviewer_takes_nothing_back(
    browser: Browser, desk: Desk, ledger: MemoryLedger
) -> None:
    """Only who asked may."""
    view = await desk.file()
    assert (await browser.post("reviewer", view, "withdraw")).status_code == 404
    assert "hold.settled" not in ledger.types()


async def test_who_asked_says_why_where_the_rules_want_it(browser: Browser, desk: Desk) -> None:
    """Until then reviewers may only deny; afterwards they read the reason."""
    view = await desk.file(justify=True)
    page = await browser.get("reviewer", path_of(view))
    assert 'value="approve"' not in page.text
    assert 'value="deny"' in page.text

    assert 'value="justify"' in (await browser.get("staff", path_of(view))).text
    answer = await browser.post("staff", view, "justify", reason=f"<b>{WHY}")
    assert answer.status_code == 303
    page = await browser.get("reviewer", path_of(view))
    assert f"<b>{WHY}" in text_of(page)
    assert 'value="approve"' in page.text


@pytest.mark.parametrize("stage", ["tool_call", "response"])
@pytest.mark.parametrize("who", ["staff", "both"])
async def test_a_held_answer_is_hidden_from_who_asked(
    browser: Browser, desk: Desk, stage: str, who: str
) -> None:
    """Also on the page after a withdrawal, and after a form that failed."""
    view = await desk.file(stage=stage)
    for page in (
        await browser.get(who, path_of(view)),
        await browser.post(who, view, "approve", reason="x"),
        await browser.post(who, view, "edit", **{"arguments-0": "{}"}),
    ):
        assert CANARY not in page.text
        assert view.hold.id in page.text
    await browser.post(who, view, "withdraw")
    assert CANARY not in (await browser.get(who, path_of(view))).text
    assert CANARY in (await browser.get("reviewer", path_of(view))).text


@pytest.mark.parametrize("streamed", [False, True])
async def test_who_asked_reads_the_answer_when_it_is_there(
    browser: Browser, desk: Desk, ledger: MemoryLedger, streamed: bool
) -> None:
    """Delivered is recorded once; reviewers of the request do not get the answer."""
    view = await desk.file()
    await desk.approve(view)
    assert await desk.store.claim(view.hold.id, "w") is not None
    said = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "the <i>answer"}}]}
    body, kind = orjson.dumps(said), "application/json"
    if streamed:
        said["choices"][0]["delta"] = said["choices"][0].pop("message")
        body, kind = b"data: " + orjson.dumps(said) + b"\n\ndata: [DONE]\n\n", "text/event-stream"
    assert await desk.store.finish(view.hold.id, "w", StoredAnswer(200, kind, body))

    assert "the <i>answer" not in text_of(await browser.get("reviewer", path_of(view)))
    assert "hold.delivered" not in ledger.types()
    for _ in range(2):
        assert "the <i>answer" in text_of(await browser.get("staff", path_of(view)))
    assert ledger.types().count("hold.delivered") == 1


async def test_an_answer_that_is_held_in_turn_is_led_to(browser: Browser, desk: Desk) -> None:
    """The request's page names the hold of its answer."""
    view = await desk.file()
    await desk.approve(view)
    assert await desk.store.claim(view.hold.id, "w") is not None
    held = replace(view.hold, id=names.answer_hold(view.hold.id), stage="response")
    await desk.store.file(held, "join-answer")
    kept = StoredAnswer(200, ANSWER_HELD, held.id.encode())
    assert await desk.store.finish(view.hold.id, "w", kept)

    page = await browser.get("staff", path_of(view))
    assert f'href="/approvals/{held.id}"' in page.text


# -- the queue


async def test_the_queue_is_in_order_of_time_left_and_risk(browser: Browser, desk: Desk) -> None:
    """Of two that end together the riskier comes first; half the time is as much as risk 50."""
    calm = await desk.file(text="a", ttl_s=600, risk=0)
    soon = await desk.file(text="b", ttl_s=200, risk=0)
    risky = await desk.file(text="c", ttl_s=600, risk=90)
    page = (await browser.get("reviewer", "/approvals")).text

    order = re.findall(r"/approvals/(hold_\w+)", page)
    assert order == [view.hold.id for view in (risky, soon, calm)]
    assert "canary" not in page


async def test_the_queue_has_ones_own_beside_what_one_reviews(browser: Browser, desk: Desk) -> None:
    """An employee sees their own alone; a reviewer who asked something sees it apart."""
    own = await desk.file(principal=REVIEWER)
    other = await desk.file(text="other")

    staff = await browser.get("staff", "/approvals")
    assert re.findall(r"/approvals/(hold_\w+)", staff.text) == [other.hold.id]
    assert "Waiting for you" not in text_of(staff)
    mine = (await browser.get("reviewer", "/approvals")).text
    waiting, asked = mine.split('id="own"')
    assert other.hold.id in waiting
    assert own.hold.id in asked
    assert own.hold.id not in waiting


async def test_names_in_the_queue_are_inert(browser: Browser, desk: Desk) -> None:
    """People and models are names that others chose."""
    evil = person("<b>x\u202e")
    await desk.file(principal=evil)
    page = await browser.get("reviewer", "/approvals")
    assert "&lt;b&gt;x" in page.text
    assert "\u202e" not in page.text


async def test_a_group_reviews_without_the_role(browser: Browser, desk: Desk) -> None:
    """A threshold that names a group is for its members."""
    view = await desk.file(thresholds=(Threshold("sales", 1, 1),))
    page = await browser.get("stranger", "/approvals")
    assert view.hold.id in page.text
    assert (await browser.post("stranger", view, "approve")).status_code == 303


async def test_who_was_denied_appeals_on_the_page(
    browser: Browser, desk: Desk, ledger: MemoryLedger
) -> None:
    """There is a form with the reason of the denial; afterwards the page says when they did."""
    view = await desk.file()
    assert 'value="appeal"' not in (await browser.get("staff", path_of(view))).text
    await desk.review(view, REVIEWER, "deny", "not this")
    page = await browser.get("staff", path_of(view))
    assert 'value="appeal"' in page.text
    assert "You appealed" not in page.text
    done = await browser.post("staff", view, "appeal", reason="  the client needs it  ")
    assert done.status_code == 303
    event = ledger.events[-1]
    assert (event.type, event.exchange) == ("exchange.appealed", view.hold.exchange)
    assert event.payloads[0].stored == b"the client needs it"
    assert "You appealed" in text_of(await browser.get("staff", path_of(view)))


@pytest.mark.parametrize("reason", ["", " \n ", "x" * 2001])
async def test_an_appeal_needs_a_reason(
    browser: Browser, desk: Desk, ledger: MemoryLedger, reason: str
) -> None:
    """A paragraph; what was written stays in its field."""
    view = await desk.file()
    await desk.review(view, REVIEWER, "deny", "not this")
    page = await browser.post("staff", view, "appeal", reason=reason)
    assert (page.status_code, "reason_required" in page.text) == (400, True)
    assert "exchange.appealed" not in ledger.types()


@pytest.mark.parametrize(("who", "status"), [("reviewer", 404), ("stranger", 404)])
async def test_nobody_appeals_for_somebody_else(
    browser: Browser, desk: Desk, ledger: MemoryLedger, who: str, status: int
) -> None:
    """No form, and the form without it finds no exchange of theirs."""
    view = await desk.file()
    await desk.review(view, REVIEWER, "deny", "not this")
    assert 'value="appeal"' not in (await browser.get(who, path_of(view))).text
    assert (await browser.post(who, view, "appeal", reason="let it go")).status_code == status
    assert "exchange.appealed" not in ledger.types()


async def test_a_history_that_cannot_be_read_hides_only_the_appeal(
    browser: Browser, desk: Desk, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page itself is there."""
    view = await desk.file()
    await desk.review(view, REVIEWER, "deny", "not this")

    async def away(*_: object) -> None:
        raise LedgerUnavailable("away")

    monkeypatch.setattr(ledger, "exchange", away)
    page = await browser.get("staff", path_of(view))
    assert page.status_code == 200
    assert "not this" in page.text
    assert 'value="appeal"' not in page.text


IN_ORDER = (Threshold("security", 1, 1), Threshold("reviewer", 1, 1, 2))


async def test_reviewers_of_a_later_step_see_what_was_said_before(
    browser: Browser, desk: Desk
) -> None:
    """First that it is not their turn and who is asked; then the reasons of those before them."""
    view = await desk.file(thresholds=IN_ORDER)
    path = f"/approvals/{view.hold.id}"
    early = (await browser.get("reviewer", path)).text
    assert "It is not your turn. Step 1 is open" in early
    assert 'value="approve"' not in early
    refused = await browser.post("reviewer", view, "approve")
    assert (refused.status_code, "not_your_turn" in refused.text) == (409, True)
    done = await browser.post("security", view, "approve", reason="The board knows <b>it</b>.")
    assert done.status_code == 303
    now = (await browser.get("reviewer", path)).text
    assert "The board knows &lt;b&gt;it&lt;/b&gt;." in now
    assert 'value="approve"' in now
    own = (await browser.get("staff", path)).text
    assert "officer-1" in own
    assert own.count("aria-current=step") == 1


async def test_a_delegate_is_named_as_one(browser: Browser, desk: Desk) -> None:
    """With whose name they answered in, at their step and among the answers."""
    view = await desk.file(thresholds=IN_ORDER)
    await browser.post("security", view, "approve")
    await browser.post("deputy", view, "approve")
    text = (await browser.get("staff", f"/approvals/{view.hold.id}")).text
    assert text.count("in the name of <bdi>reviewer-2</bdi>") == 2


@pytest.mark.parametrize("language", ["zh", "ja"])
async def test_steps_are_told_in_other_languages(
    browser: Browser, desk: Desk, language: str
) -> None:
    """On the page of the hold and in the queue."""
    view = await desk.file(thresholds=IN_ORDER)
    headers = {"accept-language": language}
    text = (await browser.get("reviewer", f"/approvals/{view.hold.id}", **headers)).text
    words = WORDS[language]
    assert str(words("others_turn", step=1)) in text
    assert str(words("step_ahead")) in text
    listed = (await browser.get("reviewer", "/approvals", **headers)).text
    assert str(words("queue_any_turn", count=1)) in listed


async def test_what_waits_for_others_is_in_the_queue_on_demand(
    browser: Browser, desk: Desk
) -> None:
    """By the link that says how many."""
    view = await desk.file(thresholds=IN_ORDER)
    usual = (await browser.get("reviewer", "/approvals")).text
    assert view.hold.id not in usual
    assert 'href="/approvals?turn=any"' in usual
    assert view.hold.id in (await browser.get("reviewer", "/approvals?turn=any")).text
    assert view.hold.id in (await browser.get("security", "/approvals")).text
