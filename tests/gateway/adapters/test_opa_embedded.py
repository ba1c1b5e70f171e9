"""The embedded engine: deadlines, late engines, reloads, and everything that is not a decision."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from sekisho.adapters import opa_embedded
from sekisho.adapters.opa_embedded import ENGINES, LATE_MAX, EmbeddedOPA, read_answer
from sekisho.errors import PolicyRejected, PolicyUnavailable
from sekisho.model.decision import Decision, Effect
from sekisho.model.limits import Spender
from support.rules import RUNAWAY, SHIPPED, bundle, document

SWAPS = int(os.environ.get("SEKISHO_SWAPS", "10"))


@pytest.fixture
async def engines() -> AsyncIterator[list[EmbeddedOPA]]:
    made: list[EmbeddedOPA] = []
    yield made
    for engine in made:
        await engine.close()


async def started(
    made: list[EmbeddedOPA], directory: Path, on_exhausted: Any = None, **more: Any
) -> EmbeddedOPA:
    # Unless a test is about the deadline: a busy machine is no fault of the rules.
    engine = EmbeddedOPA(directory, **{"deadline_ms": 5_000, **more})
    made.append(engine)
    await engine.start(on_exhausted)
    return engine


async def test_allow_and_revision(engines: list[EmbeddedOPA]) -> None:
    """The shipped rules allow an ordinary request and the decision cites the revision."""
    engine = await started(engines, SHIPPED)

    decision = await engine.decide(document())

    assert Effect.ALLOW is decision.effect
    assert engine.revision == decision.revision
    assert decision.revision.startswith("sha256:")
    assert "opa-embedded" == decision.engine


async def test_the_scanner_has_the_words_of_the_bundle(engines: list[EmbeddedOPA]) -> None:
    """Words from data.yaml label a text as soon as the engine has started."""
    engine = EmbeddedOPA(SHIPPED)
    engines.append(engine)
    scanner = engine.scanner
    assert () == scanner.scan({"t": "strictly confidential"}).labels

    await engine.start()

    assert ("secret",) == scanner.scan({"t": "strictly confidential"}).labels


async def test_no_rules_yet(engines: list[EmbeddedOPA]) -> None:
    """Before the start nothing is decided and the check says so."""
    engine = EmbeddedOPA(SHIPPED)
    engines.append(engine)

    with pytest.raises(PolicyUnavailable):
        await engine.decide(document())
    with pytest.raises(PolicyUnavailable):
        await engine.check()


async def test_closed(engines: list[EmbeddedOPA]) -> None:
    """After close nothing is decided."""
    engine = await started(engines, SHIPPED)
    await engine.close()

    with pytest.raises(PolicyUnavailable):
        await engine.decide(document())


async def test_ten_runaway_decisions(engines: list[EmbeddedOPA], tmp_path: Path) -> None:
    """Each ends in time, at most one more than two engines are late, the worker is told once."""
    before = _engine_threads()
    told: list[bool] = []
    engine = await started(
        engines, bundle(tmp_path, packs__team__runaway=RUNAWAY),
        lambda: told.append(True), deadline_ms=100,
    )  # fmt: skip
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    beat = asyncio.create_task(tick())
    others = []
    for _ in range(10):
        with pytest.raises(PolicyUnavailable):
            await engine.decide(document(request__model="runaway"))
        others += [asyncio.create_task(engine.decide(document())) for _ in range(3)]
    answers = await asyncio.gather(*others, return_exceptions=True)
    async with asyncio.timeout(60):
        while not engine.suspect:  # one that was starved and then ended is not late: ask again
            with pytest.raises(PolicyUnavailable):
                await engine.decide(document(request__model="runaway"))
    await _until_late(engine, LATE_MAX + 1)
    beat.cancel()

    clear = [a for a in answers if isinstance(a, PolicyUnavailable) or _allows(a)]
    assert 30 == len(clear)
    assert _engine_threads() <= before + ENGINES + LATE_MAX + 1
    assert [True] == told
    assert engine.suspect
    assert ticks > 10
    with pytest.raises(PolicyUnavailable):
        await engine.decide(document())
    with pytest.raises(PolicyUnavailable):
        await engine.check()


def _allows(answer: Any) -> bool:
    return isinstance(answer, Decision) and answer.effect is Effect.ALLOW


def _engine_threads() -> int:
    """Engines of this process, each with the data once: what memory is bounded by."""
    return sum(thread.name == "opa-engine" for thread in threading.enumerate())


async def test_others_go_on_beside_a_runaway(engines: list[EmbeddedOPA], tmp_path: Path) -> None:
    """With two engines late, ordinary requests are still decided by those that took their place."""
    engine = await started(engines, bundle(tmp_path, packs__team__runaway=RUNAWAY), deadline_ms=300)
    for _ in range(LATE_MAX):
        with pytest.raises(PolicyUnavailable):
            await engine.decide(document(request__model="runaway"))

    decision = await _until_decided(engine)

    assert Effect.ALLOW is decision.effect
    assert not engine.suspect
    await engine.check()


async def _until_late(engine: EmbeddedOPA, engines: int) -> None:
    """On a busy machine an engine gets less than its share and is called late only afterwards."""
    async with asyncio.timeout(30):
        while engine.late < engines:
            await asyncio.sleep(0.02)
    # All that run when the last one too many is found may turn out to be late as well.
    assert engines <= engine.late < engines + ENGINES


def _engines() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "opa-engine"}


async def test_the_second_engine_is_built_when_two_questions_meet(
    engines: list[EmbeddedOPA],
) -> None:
    """One engine costs half of a reload; a worker with little to do needs no other."""
    others = _engines()
    engine = await started(engines, SHIPPED, deadline_ms=5000)
    for _ in range(3):
        assert _allows(await engine.decide(document()))
    assert 1 == len(_engines() - others)

    answers = await asyncio.gather(*(engine.decide(document()) for _ in range(8)))

    assert all(map(_allows, answers))
    assert ENGINES == len(_engines() - others)


async def test_questions_nobody_waits_for_need_no_engine(engines: list[EmbeddedOPA]) -> None:
    """What was cancelled, before it began or while it ran, is not counted once it is over."""
    others = _engines()
    engine = await started(engines, SHIPPED, deadline_ms=5000)
    for _ in range(3):
        task = asyncio.create_task(engine.decide(document()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await _until_idle(engine)

    assert _allows(await engine.decide(document()))
    assert 1 == len(_engines() - others)


async def _until_idle(engine: EmbeddedOPA) -> None:
    """The engine may have begun a question before it was cancelled, and then it runs to its end."""
    async with asyncio.timeout(60):
        while engine.open_questions:
            await asyncio.sleep(0.005)


async def test_a_bundle_that_does_not_end_is_late_once(
    engines: list[EmbeddedOPA], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one engine that tried it is counted until it ends; the old rules go on."""
    endless = RUNAWAY.replace('input.request.model == "runaway"', "true")
    others = _engines()
    engine = await started(engines, SHIPPED)
    monkeypatch.setattr(opa_embedded, "OPEN_S_MAX", 0.5)

    with pytest.raises(PolicyRejected, match="within"):
        await engine.reload(bundle(tmp_path, packs__team__runaway=endless))

    assert 1 == engine.late
    assert not engine.suspect
    assert 2 == len(_engines() - others)
    async with asyncio.timeout(60):
        while engine.late:
            await asyncio.sleep(0.02)
    assert _allows(await engine.decide(document()))


async def test_a_starved_engine_is_not_called_late(
    engines: list[EmbeddedOPA], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that got no processor is waited for, and serves again when it is done."""
    monkeypatch.setattr(opa_embedded.time, "clock_gettime", lambda _: 0.0)
    engine = await started(engines, bundle(tmp_path, packs__team__runaway=RUNAWAY), deadline_ms=50)
    for _ in range(4):
        with pytest.raises(PolicyUnavailable):
            await engine.decide(document(request__model="runaway"))

    assert 0 == engine.late
    assert not engine.suspect


def test_an_answer_in_time_counts_though_the_loop_was_busy() -> None:
    """The worker's loop runs timers before it hears of other threads: 0.3 s without it are not
    the rules' fault.
    """

    async def asked() -> Decision:
        engine = EmbeddedOPA(SHIPPED, deadline_ms=100)
        await engine.start(None)
        answer = asyncio.create_task(engine.decide(document()))
        await asyncio.sleep(0)
        time.sleep(0.3)  # noqa: ASYNC251 - that is the busy loop
        try:
            return await answer
        finally:
            await engine.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert Effect.ALLOW is runner.run(asked()).effect


async def _until_decided(engine: EmbeddedOPA) -> Any:
    """Two runaway engines keep both cores busy, so a replacement may need a moment."""
    for _ in range(20):
        try:
            return await engine.decide(document())
        except PolicyUnavailable:
            await asyncio.sleep(0.1)
    message = "no engine took the place of a late one"
    raise AssertionError(message)


async def test_late_engine_that_finishes(engines: list[EmbeddedOPA], tmp_path: Path) -> None:
    """A late engine closes itself when it is done, and its answer is thrown away."""
    engine = await started(engines, bundle(tmp_path, packs__team__runaway=RUNAWAY), deadline_ms=50)
    with pytest.raises(PolicyUnavailable):
        await engine.decide(document(request__model="runaway"))
    await _until_late(engine, 1)

    async with asyncio.timeout(60):
        while engine.late:
            await asyncio.sleep(0.02)

    assert Effect.ALLOW is (await _until_decided(engine)).effect


async def test_waiting_for_an_engine_counts(engines: list[EmbeddedOPA], tmp_path: Path) -> None:
    """A question that never got an engine ends at its deadline too, and makes nothing late."""
    engine = await started(
        engines, bundle(tmp_path, packs__team__runaway=RUNAWAY), engines=1, deadline_ms=150
    )
    busy = asyncio.create_task(engine.decide(document(request__model="runaway")))
    await asyncio.sleep(0.02)

    answers = await asyncio.gather(
        *(engine.decide(document()) for _ in range(20)), return_exceptions=True
    )

    with pytest.raises(PolicyUnavailable):
        await busy
    assert all(isinstance(answer, PolicyUnavailable) or answer.effect for answer in answers)
    await _until_late(engine, 1)


async def test_client_gone_while_running(engines: list[EmbeddedOPA], tmp_path: Path) -> None:
    """A cancelled question that runs away is still counted as late."""
    longer = RUNAWAY.replace("800", "1200")
    engine = await started(engines, bundle(tmp_path, packs__team__runaway=longer), deadline_ms=500)
    task = asyncio.create_task(engine.decide(document(request__model="runaway")))
    await asyncio.sleep(0.25)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async with asyncio.timeout(60):
        while not engine.late:
            await asyncio.sleep(0.02)

    assert 1 == engine.late


async def test_reload_swaps(engines: list[EmbeddedOPA], tmp_path: Path) -> None:
    """A new bundle takes over, with its revision, its words and its limits."""
    engine = await started(engines, SHIPPED)
    before = engine.revision
    other = bundle(tmp_path)
    data = (other / "data.yaml").read_text("utf-8").replace("top secret", "blue moon")
    limits = 'limits: [{for: "group:sales", requests_per_min: 3}]'
    (other / "data.yaml").write_text(f"{data}\n{limits}\n", "utf-8")
    asking = Spender("staff-7", frozenset({"sales"}), "m", "b")
    assert () == engine.usage.limits.limits_of(asking)

    revision = await engine.reload(other)

    assert revision == engine.revision != before
    assert revision == (await engine.decide(document())).revision
    assert [3] == [limit.amount for limit in engine.usage.limits.limits_of(asking)]
    assert ("secret",) == engine.scanner.scan({"t": "Blue Moon"}).labels
    assert () == engine.scanner.scan({"t": "top secret"}).labels


PLACE = re.compile(r"[^:\s]+:[1-9]\d*:[1-9]\d*: \S")
BAD: dict[str, Callable[[Path], None]] = {
    "syntax": lambda d: (d / "packs/default/models.rego").write_text("package packs.x.y\nx := \n"),
    "v0": lambda d: (d / "packs/default/more.rego").write_text(
        "package packs.default.more\ndeny[x] { x := 1 }\n"
    ),
    "unknown function": lambda d: (d / "packs/default/more.rego").write_text(
        "package packs.default.more\ndeny contains nosuch(1)\n"
    ),
    "no fold": lambda d: (d / "sekisho/main.rego").unlink(),
    "no decision": lambda d: (d / "sekisho/main.rego").write_text("package sekisho\nx := 1\n"),
    "decision that never is": lambda d: (d / "sekisho/main.rego").write_text(
        "package sekisho\ndecision := 1 if input.never\n"
    ),
    "decision in another package": lambda d: (d / "sekisho/main.rego").write_text(
        "package sekisho.more\ndecision := 1\n"
    ),
    "decision of the tests only": lambda d: (
        (d / "sekisho/main.rego").rename(d / "sekisho/more_test.rego") and None
    ),
    "v0 throughout": lambda d: (d / "sekisho/main.rego").write_text(
        "package sekisho\ndecision = d { d := 1 }\n"
    ),
    "v0 without a body": lambda d: (d / "packs/default/more.rego").write_text(
        "package packs.default.more\ndeny[x]\n"
    ),
    "nothing at all": lambda d: shutil.rmtree(d) or d.mkdir(),
    "no directory": shutil.rmtree,
    "allows all": lambda d: (d / "sekisho/main.rego").write_text(
        'package sekisho\ndecision := {"schema": "sekisho.decision/v1", "effect": "allow", '
        '"reasons": [], "obligations": {}}\n'
    ),
    "not a decision": lambda d: (d / "sekisho/main.rego").write_text(
        "package sekisho\ndecision := true\n"
    ),
    "empty": lambda d: [path.unlink() for path in d.rglob("*.rego")] and None,
    "no data": lambda d: (d / "data.yaml").unlink(),
    "data misspelt": lambda d: (d / "data.yaml").write_text("grops: {}\n"),
    "network": lambda d: (d / "packs/default/more.rego").write_text(
        'package packs.default.more\nx := http.send({"method": "get", "url": "http://x"})\n'
    ),
    "endless": lambda d: (d / "packs/default/more.rego").write_text(
        RUNAWAY.replace("packs.team.runaway", "packs.default.more")
        .replace('input.request.model == "runaway"', "true")
        .replace("800", "1400")
    ),
}


@pytest.mark.parametrize("fault", BAD)
async def test_a_bad_bundle_changes_nothing(
    engines: list[EmbeddedOPA], tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is wrong with it, the old rules go on deciding."""
    monkeypatch.setattr(opa_embedded, "OPEN_S_MAX", 1.5)
    engine = await started(engines, SHIPPED)
    before = engine.revision
    bad = bundle(tmp_path)
    BAD[fault](bad)

    with pytest.raises(PolicyRejected) as caught:
        await engine.reload(bad)

    assert caught.value.faults
    assert all(PLACE.match(text) for text in caught.value.faults), caught.value.faults
    assert before == engine.revision
    assert ("secret",) == engine.scanner.scan({"t": "top secret"}).labels
    assert Effect.ALLOW is (await _until_decided(engine)).effect


async def test_no_decision_by_a_mixed_revision(engines: list[EmbeddedOPA], tmp_path: Path) -> None:
    """During swaps under load every decision is one of the two, by its own revision: none is lost,
    undefined or refused, and the engines of the old bundles go.
    """
    engine = await started(engines, SHIPPED, deadline_ms=5000)
    other = bundle(tmp_path)
    data = (other / "data.yaml").read_text("utf-8")
    closed = data.replace('models: ["*"]', 'models: ["none"]')
    (other / "data.yaml").write_text(closed, "utf-8")
    open_revision = engine.revision
    seen: Counter[tuple[bool, Effect, tuple[str, ...]]] = Counter()
    stop = False

    async def ask() -> None:
        while not stop:
            decision = await engine.decide(document())
            codes = tuple(reason.code for reason in decision.reasons)
            seen[decision.revision == open_revision, decision.effect, codes] += 1

    askers = [asyncio.create_task(ask()) for _ in range(4)]
    for turn in range(SWAPS):
        await engine.reload(SHIPPED if turn % 2 else other)
    stop = True
    await asyncio.gather(*askers)

    allowed, denied = (True, Effect.ALLOW, ()), (False, Effect.DENY, ("model_not_allowed",))
    assert {allowed, denied} == seen.keys()
    assert seen.total() > SWAPS
    async with asyncio.timeout(30):
        while _engine_threads() > ENGINES:
            await asyncio.sleep(0.02)


GOOD = {
    "schema": "sekisho.decision/v1",
    "effect": "allow",
    "reasons": [],
    "obligations": {},
}
REASON = {"code": "x", "msg": "X.", "rule": "r"}
HOLD = {"stage": "request", "thresholds": [], "ttl_s": 1, "risk": 1}
MALFORMED: dict[str, Any] = {
    "not an object": True,
    "empty": {},
    "unknown key": {**GOOD, "revision": "mine"},
    "missing key": {name: GOOD[name] for name in ("schema", "effect", "reasons")},
    "other schema": {**GOOD, "schema": "sekisho.decision/v2"},
    "unknown effect": {**GOOD, "effect": "permit"},
    "effect of another type": {**GOOD, "effect": ["allow"]},
    "unknown obligation": {**GOOD, "obligations": {"watermark": True}},
    "obligation as text": {**GOOD, "obligations": {"max_tokens": "5"}},
    "obligation below zero": {**GOOD, "obligations": {"max_tokens": -1}},
    "number for a flag": {**GOOD, "obligations": {"justify": 1}},
    "unknown log level": {**GOOD, "obligations": {"log_level": "all"}},
    "deny without a reason": {**GOOD, "effect": "deny"},
    "hold without terms": {**GOOD, "effect": "hold", "reasons": [REASON]},
    "hold of nobody": {
        **GOOD, "effect": "hold", "reasons": [REASON], "obligations": {"hold": HOLD}
    },
    "allow with a hold": {
        **GOOD,
        "obligations": {
            "hold": {
                **HOLD, "thresholds": [{"reviewers": "reviewer", "approve": 1, "deny": 1}]
            }
        },
    },
    "threshold of zero": {
        **GOOD, "effect": "hold", "reasons": [REASON],
        "obligations": {
            "hold": {
                **HOLD, "thresholds": [{"reviewers": "reviewer", "approve": 0, "deny": 1}]
            }
        },
    },
    "reason with more": {**GOOD, "effect": "deny", "reasons": [{**REASON, "severity": 1}]},
    "reason without text": {**GOOD, "effect": "deny", "reasons": [{**REASON, "msg": ""}]},
    "too many reasons": {**GOOD, "effect": "deny", "reasons": [REASON] * 65},
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_not_a_decision_is_a_deny(case: str) -> None:
    """Nothing but a decision that the contract knows whole can allow anything."""
    decision = read_answer(MALFORMED[case], "sha256:1", 0)

    assert Effect.DENY is decision.effect
    assert "policy_malformed" == decision.reasons[0].code


def test_the_good_one_is_good() -> None:
    """The base of the cases above is itself accepted, so each fails for its own reason."""
    assert Effect.ALLOW is read_answer(GOOD, "sha256:1", 0).effect


async def test_conflict_in_evaluation_is_a_deny(engines: list[EmbeddedOPA], tmp_path: Path) -> None:
    """Rules that contradict each other at run time deny; the gateway itself is not to blame."""
    source = (
        "package packs.team.split\n\nanswer := 1 if input.request.stream\n\n"
        "answer := 2 if count(input.request.tools) > 0\n\n"
        'deny contains {"code": "x", "msg": "X."} if answer == 3\n'
    )
    engine = await started(engines, bundle(tmp_path, packs__team__split=source))

    decision = await engine.decide(document(request__stream=True, request__tools=["a"]))

    assert (Effect.DENY, "policy_undefined") == (decision.effect, decision.reasons[0].code)
    assert Effect.ALLOW is (await engine.decide(document())).effect


async def test_a_broken_engine_is_unavailable(
    engines: list[EmbeddedOPA], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure of the engine itself is no decision: 503, nothing let through."""
    engine = await started(engines, SHIPPED)

    def broken(*_args: Any, **_more: Any) -> Any:
        message = "no memory left"
        raise MemoryError(message)

    monkeypatch.setattr(opa_embedded.OpaEngine, "eval_document", broken)

    with pytest.raises(PolicyUnavailable):
        await engine.decide(document())


async def test_deadline_is_kept(engines: list[EmbeddedOPA], tmp_path: Path) -> None:
    """A runaway question ends near its deadline, far below the two seconds a client is promised."""
    engine = await started(engines, bundle(tmp_path, packs__team__runaway=RUNAWAY), deadline_ms=100)
    began = time.monotonic()
    with pytest.raises(PolicyUnavailable):
        await engine.decide(document(request__model="runaway"))

    assert time.monotonic() - began < 2
