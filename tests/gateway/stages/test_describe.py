"""The facts about a request: complete, typed, and without a word of the text."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import orjson
import pytest

from sekisho.adapters.input_wire import InputWire
from sekisho.content.scan import Scan, Scanner
from sekisho.errors import BadRequest, Unavailable
from sekisho.model.assistant import Assistant
from sekisho.model.catalog import Backend, Catalog
from sekisho.model.exchange import Exchange
from sekisho.model.facts import Facts
from sekisho.model.limits import Spender, Standing
from sekisho.model.office import Office
from sekisho.model.principal import Authentication, Principal, Role
from sekisho.stages.describe import (
    SCAN_INLINE_BYTES_MAX,
    describe,
    spender_of,
)
from support.unlimited import Unlimited

CATALOG = Catalog((Backend("backend-1", ("model-*",), "region"),))
SCANNER = Scanner({"secret": ["top secret"]})
STAFF = Principal("staff-7", frozenset({Role.REVIEWER, Role.EMPLOYEE}), frozenset({"b", "a"}))
LIMITER = Unlimited(stands=Standing(3, None, 5, 70, 0, 10))
NOON_MONDAY_US = 1_763_985_600_000_000  # 2025-11-24 12:00 UTC


def exchange(content: Any = "hi", **more: Any) -> Exchange:
    """A request with one message."""
    parsed = {"model": "model-1", "messages": [{"role": "user", "content": content}], **more}
    return Exchange(
        id="0192e4a0-0000-7000-8000-000000000001",
        received_us=NOON_MONDAY_US,
        endpoint="chat.completions",
        body=orjson.dumps(parsed),
        parsed=parsed,
        client_ip="192.0.2.1",
    )


async def facts(given: Exchange, principal: Principal = STAFF, scanner: Any = SCANNER) -> Facts:
    """Described at noon on a Monday."""
    return await describe(
        given, principal, CATALOG, scanner, limiter=LIMITER, now_us=NOON_MONDAY_US, office=Office()
    )


async def test_the_document_keeps_the_contract() -> None:
    """Every member is there with its type, whatever the request leaves out."""
    for given in (exchange(), exchange(None), exchange([], tools=None, max_tokens=None)):
        document = (await facts(given)).document
        InputWire.model_validate_json(orjson.dumps(document))
        InputWire.model_validate(document)


async def test_members() -> None:
    """What rules look at most."""
    given = exchange(
        "mail bob@example.com, top secret",
        stream=True,
        max_tokens=7,
        max_completion_tokens=9,
        top_k=1,
        enable_search=True,
        tools=[{"type": "function", "function": {"name": "crm.read"}}],
    )
    made = await facts(given)
    document = made.document

    assert {
        "id": "staff-7",
        "groups": ["a", "b"],
        "roles": ["employee", "reviewer"],
        "training_until": None,
        "training": "none",
        "authentication": "api_key",
    } == document["principal"]
    request = document["request"]
    assert ("model-1", "backend-1", "region") == (
        request["model"], request["backend"], request["trust"],
    )  # fmt: skip
    assert (True, 9, "copilot") == (request["stream"], request["max_tokens"], request["mode"])
    assert (["crm.read"], ["enable_search"]) == (request["tools"], request["hosted"])
    assert ["enable_search", "top_k"] == request["unknown_fields"]
    assert (["secret"], {"email": 1}) == (
        document["content"]["labels"], document["content"]["entities"],
    )  # fmt: skip
    assert {"state": "none", "by": []} == document["approval"]
    assert (NOON_MONDAY_US * 1000, True, "mon", 12) == tuple(
        document["context"][name] for name in ("time_ns", "office_hours", "weekday", "hour")
    )
    assert "backend-1" == made.backend
    assert ["email"] == [hit.entity for hit in made.found]


async def test_no_backend() -> None:
    """A model that nobody offers has no backend, and policy is told so."""
    made = await facts(exchange(model="other"))

    assert (None, None) == (made.document["request"]["backend"], made.document["request"]["trust"])
    assert made.backend == ""


async def test_no_word_of_the_text() -> None:
    """Neither the prompt nor a name or argument in it reaches the document."""
    canary = "canary-77af"
    given = exchange(
        f"{canary} bob-{canary}@example.com",
        metadata={canary: canary},
        stop=[canary],
        response_format={"type": canary},
    )

    assert canary.encode() not in orjson.dumps((await facts(given)).document)


async def test_long_names_are_cut() -> None:
    """A tool's name of a megabyte is no way to make the engine work."""
    tools = [{"type": "function", "function": {"name": "x" * 100_000}}] * 3
    document = (await facts(exchange(tools=tools))).document

    assert all(len(name) <= 256 for name in document["request"]["tools"])
    InputWire.model_validate(document)


async def test_service_account() -> None:
    """A service account is told apart by how it authenticates."""
    service = Principal("bot-1", frozenset({Role.EMPLOYEE}), frozenset(), owner="staff-7")

    document = (await facts(exchange(), service)).document

    assert "service" == document["principal"]["authentication"]


@pytest.mark.parametrize(
    ("value", "told"), [(True, None), ("5", None), (None, None), (0, 0), (-1, -1)]
)
async def test_odd_limits(value: Any, told: int | None) -> None:
    """Only a whole number is a limit."""
    document = (await facts(exchange(max_tokens=value))).document
    assert told == document["request"]["max_tokens"]


class _Broken:
    def scan(self, _parsed: Any) -> Scan:
        message = "canary-77af stands in the traceback"
        raise ZeroDivisionError(message)


@pytest.mark.parametrize("content", ["hi", "x" * (SCAN_INLINE_BYTES_MAX + 1)])
async def test_a_broken_scanner_lets_nothing_through(
    content: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever breaks, on the loop or off it, the request is refused and the text is not logged."""
    with pytest.raises(Unavailable) as caught:
        await facts(exchange(content), scanner=_Broken())

    assert "scanner_failed" == caught.value.code
    assert "canary" not in caplog.text
    assert caught.value.__cause__ is None


async def test_what_cannot_be_scanned_is_refused() -> None:
    """A limit of the scanner is the client's to mend."""
    deep: Any = "x"
    for _ in range(200):
        deep = [deep]
    given = exchange()
    broken = Exchange(**{
        name: getattr(given, name) for name in given.__slots__ if name != "parsed"
    }, parsed={**given.parsed, "deep": deep})  # fmt: skip

    with pytest.raises(BadRequest) as caught:
        await facts(broken)
    assert "content_not_scannable" == caught.value.code


async def test_long_bodies_leave_the_loop() -> None:
    """A scan beyond the limit runs in another thread, a short one does not."""
    seen: list[int] = []

    class Watching(Scanner):
        def scan(self, parsed: Any) -> Scan:
            seen.append(threading.get_ident())
            return super().scan(parsed)

    await facts(exchange("hi"), scanner=Watching())
    await facts(exchange("x" * (SCAN_INLINE_BYTES_MAX + 1)), scanner=Watching())

    here = threading.get_ident()
    assert [True, False] == [thread == here for thread in seen]


@pytest.mark.parametrize(
    ("chars", "size"), [(10, "small"), (5_000, "medium"), (50_000, "large"), (300_000, "huge")]
)
async def test_sizes(chars: int, size: str) -> None:
    """A small class stands beside the number."""
    assert size == (await facts(exchange("x" * chars))).document["content"]["size"]


async def test_what_was_spent_and_what_is_left_are_facts() -> None:
    """As numbers and as rough percentages; a limit that does not exist is not there."""
    context = (await facts(exchange())).document["context"]
    spend = {"day_micros": 5, "month_micros": 70, "day_percent": 0, "month_percent": 10}
    assert (spend, {"requests_left": 3}) == (context["spend"], context["limits"])


async def test_a_model_nobody_offers_costs_no_look_at_the_limits() -> None:
    """Names that clients make up must not become counters."""
    document = (await facts(exchange(model="made-up"))).document
    assert ({}, 0) == (document["context"]["limits"], document["context"]["spend"]["day_micros"])


async def test_whose_limits_apply_can_be_read_from_the_facts() -> None:
    """Also when the exchange is resumed long after, on another worker."""
    document = (await facts(exchange())).document
    assert Spender("staff-7", frozenset({"a", "b"}), "model-1", "backend-1") == spender_of(
        Facts(document, "backend-1", ())
    )


@pytest.mark.parametrize(
    ("how", "owner", "said"),
    [
        (Authentication.API_KEY, None, "api_key"),
        (Authentication.OIDC, None, "oidc"),
        (Authentication.SESSION, None, "oidc"),
        (Authentication.HEADER, None, "header"),
        (Authentication.CERTIFICATE, None, "certificate"),
        (Authentication.API_KEY, "staff-8", "service"),
    ],
)
async def test_how_the_principal_was_proved_is_a_fact(
    how: Authentication, owner: str | None, said: str
) -> None:
    """Rules may ask for more than a key, or for a person."""
    who = replace(STAFF, authentication=how, owner=owner, training_until_us=7_000_000)
    principal = (await facts(exchange(), who)).document["principal"]
    assert (said, 7) == (principal["authentication"], principal["training_until"])
    InputWire.model_validate((await facts(exchange(), who)).document)


async def test_an_assistant_brings_its_labels_and_its_name() -> None:
    """What its instructions know is judged like what the person wrote."""
    clerk = Assistant("clerk", "model-1", "Be brief.", frozenset({"a"}), ("internal", "secret"))
    made = await facts(replace(exchange("top secret"), assistant=clerk))

    assert "clerk" == made.document["request"]["assistant"]
    assert ["internal", "secret"] == made.document["content"]["labels"]
    assert "clerk" == spender_of(made).assistant
