"""The engine `server`: what makes a decision, by which revision, and everything that can fail."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters import opa_server
from sekisho.adapters.circuit import FAILURES_MAX
from sekisho.adapters.opa_channel import OpaPlace
from sekisho.adapters.opa_embedded import EmbeddedOPA
from sekisho.adapters.opa_server import ServerOPA
from sekisho.adapters.policy_memo import MemoizedEngine
from sekisho.adapters.policy_smoke import SMOKE_INPUTS
from sekisho.errors import PolicyRejected, PolicyUnavailable
from sekisho.model.decision import Effect
from support.installation import free_port
from support.opa_data_api import (
    VERSION,
    DataAPI,
    Fault,
    cut,
    data_api,
    decides,
    flood,
    reset,
    says,
    slow,
)
from support.rules import RUNAWAY, SHIPPED, bundle, document
from support.shipped_once import read_once, tried

GOOD: dict[str, Any] = {
    "schema": "sekisho.decision/v1",
    "effect": "allow",
    "reasons": [],
    "obligations": {},
}
LONG_MS = 20_000  # where the deadline is not what is tested


@pytest.fixture(scope="module")
def running() -> Iterator[DataAPI]:
    with data_api(SHIPPED) as api:
        yield api


@pytest.fixture
def api(running: DataAPI) -> Iterator[DataAPI]:
    """One server for all tests, in order again before each."""
    running.fail(None)
    running.seen.clear()
    yield running
    running.fail(None)


@pytest.fixture(autouse=True)
def _read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read_once(monkeypatch)


@asynccontextmanager
async def asked(
    url: str, directory: Path = SHIPPED, *, deadline_ms: int = LONG_MS, **more: Any
) -> AsyncIterator[ServerOPA]:
    """An engine that has started."""
    engine = ServerOPA(directory, OpaPlace(url), deadline_ms=deadline_ms, **more)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def cause(engine: ServerOPA) -> str:
    """Why a question gets no decision."""
    with pytest.raises(PolicyUnavailable) as caught:
        await engine.decide(document())
    assert ("policy_unavailable", 503) == (caught.value.code, caught.value.status)
    return caught.value.cause


async def test_allow_and_revision(api: DataAPI) -> None:
    """The shipped rules allow an ordinary request; the decision cites the revision."""
    async with asked(api.url) as engine:
        decision = await engine.decide(document())

        assert Effect.ALLOW is decision.effect
        assert engine.revision == decision.revision == api.revisions["sekisho"]
        assert "opa-server" == decision.engine
        assert decision.took_us > 0


async def test_the_rest_of_the_bundle_comes_from_disk(api: DataAPI) -> None:
    """Words label a text and limits are known as soon as the engine has started."""
    async with asked(api.url) as engine:
        assert ("secret",) == engine.scanner.scan({"t": "strictly confidential"}).labels
        assert engine.usage is engine.bundle.usage


async def test_the_server_is_tried_once_before_it_decides(api: DataAPI) -> None:
    """What must be denied is asked first, once for all decisions, however many come at once."""
    async with asked(api.url) as engine:
        assert [] == api.seen
        await asyncio.gather(*(engine.decide(document()) for _ in range(8)))

    assert 8 + len(SMOKE_INPUTS) == len(api.seen)


async def test_a_server_that_allows_everything_decides_nothing(api: DataAPI) -> None:
    """Its revision may be right: a stranger that is allowed shows that it is not our rules."""
    api.fail(decides(GOOD))
    async with asked(api.url) as engine:
        assert "wrong_answer" == await cause(engine)
        with pytest.raises(PolicyUnavailable, match="must be denied"):
            await engine.check()


async def test_no_rules_yet() -> None:
    """Before the start nothing is decided, nor after the end."""
    engine = ServerOPA(SHIPPED, OpaPlace("http://127.0.0.1:1"))
    assert "not_loaded" == await cause(engine)
    with pytest.raises(PolicyUnavailable):
        await engine.check()
    await engine.close()
    assert "not_loaded" == await cause(engine)


async def no_bundle(request: Any, server: DataAPI) -> Any:
    """Rules that somebody pushed: no bundle is named."""
    kept, server.revisions = server.revisions, {}
    try:
        return await server.decide(request, await request.json())
    finally:
        server.revisions = kept


def names(**bundles: Any) -> Fault:
    """An allow with this provenance."""
    body = {"result": GOOD, "provenance": {"version": VERSION, "bundles": bundles}}
    return says(200, body)


STALE = {"revision": f"sha256:{'0' * 64}"}
SILENT: dict[str, tuple[Fault, str]] = {
    "answers 500": (says(500, {"code": "internal_error"}), "status_500"),
    "answers 503": (says(503, b""), "status_503"),
    "answers 429": (says(429, b""), "status_429"),
    "answers 200 with a page": (says(200, b"<html>", "text/html"), "unreadable"),
    "does not let us ask": (says(401, {"code": "unauthorized"}), "refused"),
    "has no such path": (says(404, {"code": "resource_not_found"}), "status_404"),
    "points elsewhere": (says(302, b""), "status_302"),
    "resets": (reset, "reset"),
    "cuts its answer": (cut, "cut"),
    "never ends its answer": (flood, "unreadable"),
    "answers no object": (says(200, b'"allow"'), "unreadable"),
    "breaks while it evaluates": (
        says(500, {"code": "internal_error", "errors": [{"code": "eval_internal_error"}]}),
        "status_500",
    ),
    "gives up evaluating": (
        says(500, {"code": "internal_error", "errors": [{"code": "eval_cancel_error"}]}),
        "status_500",
    ),
    "tells no provenance": (says(200, {"result": GOOD}), "no_revision"),
    "has odd provenance": (says(200, {"result": GOOD, "provenance": []}), "no_revision"),
    "runs no bundle": (no_bundle, "no_revision"),
    "runs a bundle without a revision": (names(sekisho={}), "stale_revision"),
    "runs an old bundle": (names(sekisho=STALE), "stale_revision"),
    "runs one bundle more": (names(sekisho=STALE, other=STALE), "more_bundles"),
}  # fmt: skip


@pytest.mark.parametrize("case", SILENT)
async def test_a_server_that_fails_denies(api: DataAPI, case: str) -> None:
    """503 `policy_unavailable` with a cause of its own, before and after it worked."""
    fault, word = SILENT[case]
    async with asked(api.url) as engine:
        api.fail(fault)
        assert word == await cause(engine)
        api.fail(None)
        assert Effect.ALLOW is (await engine.decide(document())).effect
        api.fail(fault)
        assert word == await cause(engine)
        with pytest.raises(PolicyUnavailable, match="the OPA server ") as caught:
            await engine.check()
        assert word == caught.value.cause


async def test_a_server_that_is_down_denies() -> None:
    """Nobody listens: said at once, and /readyz says what to do."""
    async with asked(f"http://127.0.0.1:{free_port()}") as engine:
        assert "unreachable" == await cause(engine)
        with pytest.raises(PolicyUnavailable, match="start it"):
            await engine.check()


async def test_a_slow_server_denies(api: DataAPI) -> None:
    """At the deadline, not at the server's leisure; then it is left alone for a moment."""
    async with asked(api.url, deadline_ms=400) as engine:
        while not engine._proven:  # a busy machine may be late for the first questions too
            try:
                await engine.decide(document())
            except PolicyUnavailable:
                await asyncio.sleep(0.2)
        api.fail(slow(30.0))
        began = time.monotonic()
        assert "late" == await cause(engine)
        assert time.monotonic() - began < 10
        with pytest.raises(PolicyUnavailable, match="in time"):
            await engine.check()


SPOKEN: dict[str, tuple[Any, str]] = {
    "unknown key": ({**GOOD, "revision": "mine"}, "policy_malformed"),
    "missing key": ({"schema": GOOD["schema"], "effect": "allow"}, "policy_malformed"),
    "another schema": ({**GOOD, "schema": "sekisho.decision/v2"}, "policy_malformed"),
    "unknown effect": ({**GOOD, "effect": "permit"}, "policy_malformed"),
    "unknown obligation": ({**GOOD, "obligations": {"watermark": True}}, "policy_malformed"),
    "an obligation of another type": (
        {**GOOD, "obligations": {"max_tokens": "5"}}, "policy_malformed",
    ),
    "a bare true": (True, "policy_malformed"),
    "null": (None, "policy_malformed"),
}  # fmt: skip


@pytest.mark.parametrize("case", SPOKEN)
async def test_rules_that_speak_wrongly_deny(api: DataAPI, case: str) -> None:
    """403 with policy's own code, and the revision that said it."""
    result, code = SPOKEN[case]
    async with asked(api.url) as engine:
        await engine.decide(document())
        api.fail(decides(result))
        decision = await engine.decide(document())

        assert (Effect.DENY, code) == (decision.effect, decision.reasons[0].code)
        assert engine.revision == decision.revision


async def undefined(_request: Any, server: DataAPI) -> Any:
    """No `result`, from the right bundle."""
    named = {"sekisho": {"revision": server.revisions["sekisho"]}}
    return await says(200, {"provenance": {"bundles": named}})(_request, server)


async def test_undefined_is_a_deny_of_its_own(api: DataAPI) -> None:
    """OPA answers 200 without `result`."""
    async with asked(api.url) as engine:
        await engine.decide(document())
        api.fail(undefined)
        decision = await engine.decide(document())

    assert (Effect.DENY, "policy_undefined") == (decision.effect, decision.reasons[0].code)


CONFLICT = (
    "package packs.team.split\n\nanswer := 1 if input.request.stream\n\n"
    "answer := 2 if count(input.request.tools) > 0\n\n"
    'deny contains {"code": "x", "msg": "X."} if answer == 3\n'
)


async def test_rules_that_contradict_each_other(tmp_path: Path) -> None:
    """OPA says 500, but its body says that policy spoke: the same deny as of the embedded engine,
    by the revision that a second question names.
    """
    split = bundle(tmp_path, packs__team__split=CONFLICT)
    odd = document(request__stream=True, request__tools=["a"])
    with data_api(split) as server:
        async with asked(server.url, split) as engine:
            await engine.decide(document())
            decision = await engine.decide(odd)
            server.revisions["sekisho"] = "sha256:other"
            with pytest.raises(PolicyUnavailable) as caught:
                await engine.decide(odd)

    assert (Effect.DENY, "policy_undefined") == (decision.effect, decision.reasons[0].code)
    assert "stale_revision" == caught.value.cause


async def test_a_reset_is_asked_again_once(api: DataAPI) -> None:
    """A kept connection that the server closed meanwhile costs nobody a refusal."""
    async with asked(api.url) as engine:
        await engine.decide(document())
        api.seen.clear()
        api.fail(reset, 1)
        assert Effect.ALLOW is (await engine.decide(document())).effect
        assert 2 == len(api.seen)
        api.seen.clear()
        api.fail(reset)
        assert "reset" == await cause(engine)
        assert 2 == len(api.seen)


@pytest.mark.parametrize("case", ["answers 500", "answers 503", "cuts its answer"])
async def test_nothing_else_is_asked_again(api: DataAPI, case: str) -> None:
    """An answer, even half of one, is an answer."""
    fault, _ = SILENT[case]
    async with asked(api.url) as engine:
        await engine.decide(document())
        api.seen.clear()
        api.fail(fault)
        await cause(engine)

    assert 1 == len(api.seen)


async def test_a_server_that_keeps_failing_is_left_alone(
    api: DataAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some failures in a row it is asked once a rest, and everybody else is told at once."""
    async with asked(api.url) as engine:
        await engine.decide(document())
        engine._circuit._rest_s = 3600.0
        api.fail(says(503, b""))
        api.seen.clear()
        words = [await cause(engine) for _ in range(FAILURES_MAX + 20)]
        assert ["status_503"] * FAILURES_MAX + ["resting"] * 20 == words
        assert FAILURES_MAX == len(api.seen)

        api.fail(None)
        await engine.check()
        assert Effect.ALLOW is (await engine.decide(document())).effect


async def test_a_stale_server_is_not_left_alone(api: DataAPI) -> None:
    """It answers, so it may be right a moment later."""
    async with asked(api.url) as engine:
        api.fail(names(sekisho=STALE))
        words = {await cause(engine) for _ in range(FAILURES_MAX + 5)}
        assert {"stale_revision"} == words
        api.fail(None)
        assert Effect.ALLOW is (await engine.decide(document())).effect


async def test_a_client_that_left(api: DataAPI) -> None:
    """Its answer comes late and is nobody's: the next question gets its own."""
    shut = document(principal__groups=["visitors"])
    async with asked(api.url) as engine:
        assert Effect.DENY is (await engine.decide(shut)).effect
        for _ in range(8):
            api.fail(slow(0.1), 1)
            task = asyncio.create_task(engine.decide(document()))
            while api.fault_count:
                await asyncio.sleep(0.002)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            answers = await asyncio.gather(*(engine.decide(shut) for _ in range(3)))
            assert {Effect.DENY} == {answer.effect for answer in answers}
            assert Effect.ALLOW is (await engine.decide(document())).effect


@pytest.mark.parametrize("number", [2**53 + 1, 2**63, 2**64 - 1, -(2**63)])
async def test_a_number_that_is_larger_than_most(api: DataAPI, number: int) -> None:
    """Of those that a parsed body can hold: it is decided as by the engine inside, and does not
    look like a server that fails.
    """
    odd = document(request__max_tokens=number)
    embedded = EmbeddedOPA(SHIPPED, deadline_ms=LONG_MS)
    await embedded.start()
    async with asked(api.url) as engine:
        ours, theirs = await embedded.decide(odd), await engine.decide(odd)
    await embedded.close()

    assert ours.effect == theirs.effect
    assert ours.reasons == theirs.reasons


@pytest.mark.parametrize("status", [400, 404, 413])
async def test_requests_that_the_server_refuses_stop_no_others(api: DataAPI, status: int) -> None:
    """Whoever finds a request that OPA does not take must not get everybody refused."""
    async with asked(api.url) as engine:
        await engine.decide(document())
        api.fail(says(status, {"code": "invalid_parameter"}))
        words = {await cause(engine) for _ in range(FAILURES_MAX + 3)}
        assert {f"status_{status}"} == words
        api.fail(None)
        assert Effect.ALLOW is (await engine.decide(document())).effect


BAD: dict[str, Callable[[Path], Any]] = {
    "v0": lambda d: (d / "packs/default/more.rego").write_text(
        "package packs.default.more\ndeny[x] { x := 1 }\n"
    ),
    "no fold": lambda d: (d / "sekisho/main.rego").unlink(),
    "no decision": lambda d: (d / "sekisho/main.rego").write_text("package sekisho\nx := 1\n"),
    "allows all": lambda d: (d / "sekisho/main.rego").write_text(
        'package sekisho\ndecision := {"schema": "sekisho.decision/v1", "effect": "allow", '
        '"reasons": [], "obligations": {}}\n'
    ),
    "empty": lambda d: [path.unlink() for path in d.rglob("*.rego")],
    "no data": lambda d: (d / "data.yaml").unlink(),
}


@pytest.mark.parametrize("fault", BAD)
async def test_a_bad_bundle_changes_nothing(api: DataAPI, tmp_path: Path, fault: str) -> None:
    """It is refused here, whatever the server would do with it, and the old one goes on."""
    bad = bundle(tmp_path)
    BAD[fault](bad)
    async with asked(api.url) as engine:
        before = engine.revision
        with pytest.raises(PolicyRejected) as caught:
            await engine.reload(bad)
        assert caught.value.faults
        assert before == engine.revision
        assert Effect.ALLOW is (await engine.decide(document())).effect


async def test_rules_that_never_end_are_run_once(
    api: DataAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can cancel them, so a worker that tries again and again must not run them again."""
    monkeypatch.setattr("sekisho.adapters.policy_check.TIME_S_MAX", 0.3)
    endless = RUNAWAY.replace('input.request.model == "runaway"', "true").replace("800", "1200")
    bad = bundle(tmp_path, packs__team__runaway=endless)
    runs: list[str] = []
    monkeypatch.setattr(opa_server, "try_bundle", lambda b: (runs.append(b.revision), tried(b)))
    engine = ServerOPA(bad, OpaPlace(api.url))
    for _ in range(3):
        with pytest.raises(PolicyRejected, match="not done"):
            await engine.start()
    await engine.close()

    assert 1 == len(runs)


def closed(folder: Path) -> Path:
    """The shipped bundle with its one door shut and other words."""
    other = bundle(folder)
    data = (other / "data.yaml").read_text("utf-8")
    shut = data.replace('models: ["*"]', 'models: ["none"]').replace("top secret", "blue moon")
    (other / "data.yaml").write_text(shut, "utf-8")
    return other


async def until_awaited(engine: ServerOPA) -> None:
    """The gateway knows a new bundle before the server has it, as docs/howto/opa-server.md asks."""
    async with asyncio.timeout(30):
        while engine._awaited is None:
            await asyncio.sleep(0.005)


async def test_a_new_bundle_waits_for_the_server(tmp_path: Path) -> None:
    """No decision is refused between the two: the old revision decides until the new one answers,
    and words and limits change with it.
    """
    other = closed(tmp_path)
    with data_api(SHIPPED) as server:
        async with asked(server.url) as engine:
            before = engine.revision
            task = asyncio.create_task(engine.reload(other))
            seen = set()
            for turn in range(60):
                decision = await engine.decide(document())
                seen.add((decision.revision == before, decision.effect))
                if turn == 20:
                    await until_awaited(engine)
                    await asyncio.to_thread(server.serve, other)
                if task.done() and turn > 40:
                    break
                await asyncio.sleep(0.02)
            revision = await asyncio.wait_for(task, 30)

            assert revision == engine.revision != before
            assert ("secret",) == engine.scanner.scan({"t": "Blue Moon"}).labels
            assert {(True, Effect.ALLOW), (False, Effect.DENY)} == seen
            await asyncio.to_thread(server.serve, SHIPPED)
            assert "stale_revision" == await cause(engine)


async def test_ten_new_bundles_under_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every question gets a decision, by one of the two revisions, and as that one decides."""
    other = closed(tmp_path)
    monkeypatch.setattr(opa_server, "SERVED_STEP_S", 0.01)
    with data_api(SHIPPED) as server:
        async with asked(server.url) as engine:
            opened = engine.revision
            seen: list[tuple[bool, Effect]] = []
            over = False

            async def ask() -> None:
                while not over:
                    decision = await engine.decide(document())
                    seen.append((decision.revision == opened, decision.effect))

            askers = [asyncio.create_task(ask()) for _ in range(4)]
            for turn in range(10):
                directory = SHIPPED if turn % 2 else other
                change = asyncio.create_task(engine.reload(directory))
                await until_awaited(engine)
                served = await asyncio.to_thread(server.serve, directory)
                assert served == await change == engine.revision
            over = True
            await asyncio.gather(*askers)

    assert {(True, Effect.ALLOW), (False, Effect.DENY)} == set(seen)


async def test_a_new_bundle_that_the_server_never_gets(api: DataAPI, tmp_path: Path) -> None:
    """The reload says so and changes nothing."""
    async with asked(api.url, served_s_max=1.0) as engine:
        before = engine.revision
        with pytest.raises(PolicyRejected, match="did not serve"):
            await engine.reload(closed(tmp_path))
        assert before == engine.revision
        assert Effect.ALLOW is (await engine.decide(document())).effect


async def test_an_answer_on_its_way_while_the_bundle_changes(tmp_path: Path) -> None:
    """It was asked of the old rules and given by them: it counts, with their revision."""
    other = closed(tmp_path)
    with data_api(SHIPPED) as server:
        decided, sent = threading.Event(), threading.Event()

        async def late(request: Any, api: DataAPI) -> Any:
            answer = await api.decide(request, await request.json())
            decided.set()
            while not sent.is_set():
                await asyncio.sleep(0.01)
            return answer

        async with asked(server.url) as engine:
            before = (await engine.decide(document())).revision
            server.fail(late, 1)
            under_way = asyncio.create_task(engine.decide(document()))
            await asyncio.to_thread(decided.wait, 10)
            await asyncio.to_thread(server.serve, other)
            await engine.reload(other)
            assert not under_way.done()

            sent.set()
            decision = await under_way
            assert (before, Effect.ALLOW) == (decision.revision, decision.effect)
            assert before != engine.revision


async def test_kept_decisions(api: DataAPI) -> None:
    """The same question is asked of the server once; another revision forgets it."""
    async with asked(api.url) as engine:
        memo = MemoizedEngine(engine, 100)
        first = await memo.decide(document())
        api.seen.clear()
        again = await memo.decide(document(exchange="another"))

    assert (False, True) == (first.memo, again.memo)
    assert first.effect == again.effect
    assert [] == api.seen


async def test_a_deny_for_want_of_a_server_is_not_kept(api: DataAPI) -> None:
    """What failed once is asked again."""
    async with asked(api.url) as engine:
        memo = MemoizedEngine(engine, 100)
        api.fail(says(503, b""), 1)
        with pytest.raises(PolicyUnavailable):
            await memo.decide(document())
        assert Effect.ALLOW is (await memo.decide(document())).effect


async def test_files_of_tls_that_are_not_there(tmp_path: Path) -> None:
    """Said at the start, by the names of the settings."""
    place = OpaPlace("https://127.0.0.1:1", ca_file=tmp_path / "none.pem")
    engine = ServerOPA(SHIPPED, place)
    with pytest.raises(PolicyRejected, match="tls_ca"):
        await engine.start()
    await engine.close()


def test_every_cause_is_explained() -> None:
    """What the log says can be looked up, and what is explained can happen."""
    page = (Path(__file__).parents[3] / "docs" / "howto" / "opa-server.md").read_text("utf-8")
    rows = page.split("| cause | what happened |")[1].split("\n\n")[0].splitlines()[2:]
    explained = {word for row in rows for word in re.findall(r"`([a-z_]+)…?`", row.split("|")[1])}
    met = {word for _, word in SILENT.values()} | set(opa_server._SAID)
    shortened = {"status_" if word.startswith("status_") else word for word in met}
    assert shortened | {"broken", "resting", "not_loaded"} == explained
