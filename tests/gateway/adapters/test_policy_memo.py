"""A memoised decision is the decision: for random rules and inputs, never past its revision."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opa_bindings import OpaEngine

from sekisho.adapters.policy_memo import MemoizedEngine, all_reads, reads
from sekisho.model.decision import Decision, Effect, Reason

NAMES = ("a", "b", "c")
LEAVES = st.sampled_from([0, 1, "x", None, True, ["x"], []])
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        name: LEAVES | st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, LEAVES))
        for name in NAMES
    },
)
REFS = st.sampled_from(
    [
        "input.a", "input.a.b", "input.b", "input.c.a", 'input["b"].c', "input.a[key]",
        "input.b[_]", "data.table[input.c]", "data.table[input.a.c]",
    ]
)  # fmt: skip
BODIES = st.lists(
    st.builds(
        lambda ref, value: f"{ref} == {value}", REFS, st.sampled_from(["0", "1", '"x"', "null"])
    ),
    min_size=1,
    max_size=3,
)


def _tree(source: str) -> dict[str, Any]:
    with OpaEngine() as engine:
        query = 'x := rego.parse_module("p.rego", input)'
        return dict(engine.eval_query(query, source)[0]["x"])


def _module(bodies: list[list[str]]) -> str:
    rules = "\n".join(
        'yes if {\n\tsome key in ["a", "b"]\n\t' + "\n\t".join(body) + "\n}" for body in bodies
    )
    return f"package p\n\ndefault yes := false\n\n{rules}\n"


@dataclass
class Direct:
    """Evaluates one module with the real engine, and counts."""

    engine: OpaEngine
    reads: tuple[tuple[str, ...], ...] | None
    revision: str = "r1"
    asked: int = 0

    @property
    def bundle(self) -> Direct:
        return self

    async def decide(self, document: Mapping[str, Any]) -> Decision:
        self.asked += 1
        yes = self.engine.eval_document("p.yes", dict(document))
        return Decision(Effect.ALLOW if yes else Effect.DENY, (), self.revision)


@settings(max_examples=60, deadline=None)
@given(st.lists(BODIES, min_size=1, max_size=3), st.lists(DOCUMENTS, min_size=2, max_size=12))
def test_it_never_differs_from_evaluating(
    bodies: list[list[str]], documents: list[dict[str, Any]]
) -> None:
    """Whatever the rules read, an answer from memory equals the engine's own."""
    source = _module(bodies)

    async def check() -> None:
        with OpaEngine() as engine:
            engine.add_policy("p.rego", source)
            engine.add_data({"table": {"x": "x", "0": 0}})
            direct = Direct(engine, reads(_tree(source)))
            memoized = MemoizedEngine(direct, 100)
            for document in [*documents, *documents]:
                answer = await memoized.decide(document)
                fresh = await direct.decide(document)
                assert (fresh.effect, fresh.revision) == (answer.effect, answer.revision)

    asyncio.run(check())


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("input.a.b == 1", (("a", "b"),)),
        ("input.a[x].c == 1; x := 1", (("a",),)),
        ("x := input.a; x.b == 1", (("a",),)),
        ("input.a.b == 1; input.a == 2", (("a",),)),
        ("data.t[input.a.b] == 1", (("a", "b"),)),
        ('input[x] == 1; x := "a"', None),
        ("x := input; x.a == 1", None),
        ("count(input) == 1", None),
        ("walk(input, [_, 1])", None),
        ('data.p.f == 1 with input as {"a": 1}', None),
        ("data.p.f == 1 with input.a as 2", (("a",),)),
        ("every v in input.a { v == input.b.c }", (("a",), ("b", "c"))),
    ],
)
def test_what_rules_can_read(body: str, expected: tuple[tuple[str, ...], ...] | None) -> None:
    """Dynamic references widen; touching the whole input ends it."""
    source = f"package p\n\nf := 1\n\nyes if {{ {body} }}\n"

    assert expected == reads(_tree(source))


def test_an_import_counts_as_reading() -> None:
    """Under another name it is the same input."""
    source = "package p\n\nimport input.a as other\n\nyes if other.b == 1\n"

    assert (("a",),) == reads(_tree(source))


@dataclass
class Told:
    """An engine that gives what it is told to."""

    decision: Decision
    reads: tuple[tuple[str, ...], ...] | None = (("a",),)
    asked: list[Any] = field(default_factory=list)

    @property
    def bundle(self) -> Told:
        return self

    @property
    def revision(self) -> str:
        return self.decision.revision

    async def decide(self, document: Mapping[str, Any]) -> Decision:
        self.asked.append(document)
        return self.decision


ALLOW = Decision(Effect.ALLOW, (), "r1", took_us=700)


async def test_a_second_equal_question_is_not_asked_and_says_so() -> None:
    """Only what the rules read counts; the rest may differ."""
    told = Told(ALLOW)
    engine = MemoizedEngine(told, 100)

    first = await engine.decide({"a": 1, "time": 1})
    second = await engine.decide({"a": 1, "time": 2})

    assert (False, True) == (first.memo, second.memo)
    assert replace(first, memo=True, took_us=0) == second
    assert 1 == len(told.asked)


async def test_absent_and_null_are_different() -> None:
    """A missing member is not a member with the value null."""
    told = Told(ALLOW)
    engine = MemoizedEngine(told, 100)

    for document in ({}, {"a": None}, {"a": []}, {"a": [None]}):
        await engine.decide(document)

    assert 4 == len(told.asked)


async def test_another_revision_forgets_everything() -> None:
    """A decision never outlives the rules that made it."""
    told = Told(ALLOW)
    engine = MemoizedEngine(told, 100)
    await engine.decide({"a": 1})

    told.decision = Decision(Effect.DENY, (), "r2")

    assert Effect.DENY is (await engine.decide({"a": 1})).effect


async def test_a_decision_of_a_swapped_revision_is_not_kept() -> None:
    """The swap came between question and answer."""

    class Swapping(Told):
        async def decide(self, document: Mapping[str, Any]) -> Decision:
            self.decision = replace(ALLOW, revision="r2")
            return ALLOW

    kept: list[bool] = []
    engine = MemoizedEngine(Swapping(ALLOW), 100, kept.append)
    for _ in range(2):
        await engine.decide({"a": 1})

    assert kept == [False, False]


async def test_it_tells_of_each_decision_whether_it_was_kept() -> None:
    """Those that are never kept are not told of."""
    kept: list[bool] = []
    engine = MemoizedEngine(Told(ALLOW), 100, kept.append)
    for value in (1, 1, 2, 1):
        await engine.decide({"a": value})
    assert kept == [False, True, False, True]

    for never in (
        MemoizedEngine(Told(ALLOW), 0, kept.append),
        MemoizedEngine(Told(ALLOW, reads=None), 9, kept.append),
    ):
        await never.decide({"a": 1})
    assert len(kept) == 4


async def test_faults_are_asked_again() -> None:
    """An evaluation that failed may work the next time."""
    told = Told(Decision(Effect.DENY, (Reason("policy_undefined", "", ""),), "r1"))
    engine = MemoizedEngine(told, 100)

    for _ in range(2):
        await engine.decide({"a": 1})

    assert 2 == len(told.asked)


async def test_it_is_bounded() -> None:
    """The oldest goes first."""
    told = Told(ALLOW)
    engine = MemoizedEngine(told, kept_max=2)

    for value in (1, 2, 3, 2, 3, 1):
        await engine.decide({"a": value})

    assert [1, 2, 3, 1] == [document["a"] for document in told.asked]


async def test_without_a_bound_nothing_is_kept() -> None:
    """Rules that touch all of the input are asked each time."""
    told = Told(ALLOW, reads=None)
    engine = MemoizedEngine(told, 100)

    for _ in range(2):
        await engine.decide({"a": 1})

    assert 2 == len(told.asked)


async def test_it_can_be_switched_off() -> None:
    """A limit of none keeps none."""
    told = Told(ALLOW)
    engine = MemoizedEngine(told, 0)

    for _ in range(2):
        assert not (await engine.decide({"a": 1})).memo

    assert 2 == len(told.asked)


def test_what_all_modules_read() -> None:
    """Paths of all are put together; a wider one has the narrower ones; one unbounded is all."""
    assert (("a",), ("b", "c")) == all_reads([(("a", "b"), ("b", "c")), (("a",),), ()])
    assert all_reads([(("a",),), None]) is None
    assert () == all_reads([])
