"""What rules can do wrong for one request only: both engines deny it, with the same code.

The smoke questions cannot find these at load. What engines do wrong is tested with each engine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sekisho.adapters.opa_channel import OpaPlace
from sekisho.adapters.opa_embedded import EmbeddedOPA
from sekisho.adapters.opa_server import ServerOPA
from sekisho.errors import PolicyUnavailable
from sekisho.model.decision import Effect
from support.opa_data_api import DataAPI, data_api
from support.rules import bundle, document

FOLD = """package sekisho

allowed := {"schema": "sekisho.decision/v1", "effect": "allow", "reasons": [], "obligations": {}}

denied := {
	"schema": "sekisho.decision/v1",
	"effect": "deny",
	"reasons": [{"code": "not_allowed", "msg": "No.", "rule": "sekisho.effect"}],
	"obligations": {},
}

asked := input.request.model

decision := denied if not startswith(asked, "case:")

decision := allowed if asked == "case:good"

decision := object.union(allowed, {"revision": "mine"}) if asked == "case:extra key"

decision := object.remove(allowed, ["reasons"]) if asked == "case:missing key"

decision := object.union(allowed, {"schema": "sekisho.decision/v2"}) if asked == "case:wrong schema"

decision := object.union(allowed, {"effect": "permit"}) if asked == "case:unknown effect"

decision := object.union(allowed, {"effect": ["allow"]}) if asked == "case:effect of another type"

decision := object.union(allowed, {"obligations": {"watermark": true}}) if {
	asked == "case:unknown obligation"
}

decision := object.union(allowed, {"obligations": {"max_tokens": "5"}}) if {
	asked == "case:obligation of another type"
}

decision := object.union(allowed, {"obligations": {"max_tokens": 5.5}}) if {
	asked == "case:half a token"
}

decision := object.union(allowed, {"effect": "hold"}) if asked == "case:hold without terms"

decision := object.union(denied, {"reasons": []}) if asked == "case:deny without a reason"

decision := {allowed} if asked == "case:a set"

decision := true if asked == "case:a bare true"

decision := false if asked == "case:a bare false"

decision := null if asked == "case:null"

decision := "allow" if asked == "case:a word"

decision := allowed if asked == "case:two answers"

decision := denied if asked == "case:two answers"

decision := object.union(allowed, {"x": 1 / input.content.hidden_chars}) if {
	asked == "case:a builtin that fails"
}

decision := object.union(allowed, {"x": count(input.request.stream)}) if {
	asked == "case:a builtin with another type"
}

decision := allowed if {
	asked == "case:too long"
	some a in numbers.range(1, 800)
	some b in numbers.range(1, 800)
	a + b == -1
}
"""
CASES = {
    "undefined": "policy_undefined",
    "two answers": "policy_undefined",
    "a builtin that fails": "policy_undefined",
    "a builtin with another type": "policy_undefined",
    "extra key": "policy_malformed",
    "missing key": "policy_malformed",
    "wrong schema": "policy_malformed",
    "unknown effect": "policy_malformed",
    "effect of another type": "policy_malformed",
    "unknown obligation": "policy_malformed",
    "obligation of another type": "policy_malformed",
    "half a token": "policy_malformed",
    "hold without terms": "policy_malformed",
    "deny without a reason": "policy_malformed",
    "a set": "policy_malformed",
    "a bare true": "policy_malformed",
    "a bare false": "policy_malformed",
    "null": "policy_malformed",
    "a word": "policy_malformed",
}
LONG_MS = 20_000  # where the deadline is not what is tested
Engine = EmbeddedOPA | ServerOPA


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = bundle(tmp_path_factory.mktemp("odd"))
    (made / "sekisho" / "main.rego").write_text(FOLD, "utf-8")
    return made


@pytest.fixture(scope="module")
def api(odd: Path) -> Iterator[DataAPI]:
    with data_api(odd) as server:
        yield server


def both(odd: Path, url: str, deadline_ms: int) -> tuple[EmbeddedOPA, ServerOPA]:
    embedded = EmbeddedOPA(odd, engines=1, deadline_ms=deadline_ms)
    return embedded, ServerOPA(odd, OpaPlace(url), deadline_ms=deadline_ms)


@pytest.fixture
async def engines(odd: Path, api: DataAPI) -> AsyncIterator[tuple[Engine, ...]]:
    made = both(odd, api.url, LONG_MS)
    for engine in made:
        await engine.start()
    yield made
    for engine in made:
        await engine.close()


async def test_every_fault_of_rules_is_a_deny(engines: tuple[Engine, ...]) -> None:
    """With its code, the revision that said it, and nothing of what it said; alike in all else."""
    for case, code in CASES.items():
        embedded, server = [
            await engine.decide(document(request__model=f"case:{case}")) for engine in engines
        ]
        assert (Effect.DENY, [code]) == (embedded.effect, [r.code for r in embedded.reasons]), case
        assert engines[0].revision == embedded.revision
        bare = [replace(one, engine="", took_us=0) for one in (embedded, server)]
        assert bare[0] == bare[1], case


async def test_the_good_case_is_good(engines: tuple[Engine, ...]) -> None:
    """What the others are changed from is allowed, so each is denied for its own fault."""
    for engine in engines:
        decision = await engine.decide(document(request__model="case:good"))
        assert Effect.ALLOW is decision.effect


async def test_rules_that_take_too_long(odd: Path) -> None:
    """503 with the cause `late`, at the deadline of either engine."""
    with data_api(odd) as server:
        for engine in both(odd, server.url, 100):
            await engine.start()
            with pytest.raises(PolicyUnavailable) as caught:
                await engine.decide(document(request__model="case:too long"))
            assert "late" == caught.value.cause
            await engine.close()
