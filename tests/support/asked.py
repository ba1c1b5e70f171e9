"""Policy inputs to ask every engine: a grid, and random ones that are the same every time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product
from typing import Any

from support.decision_table import CONTENT, PRINCIPALS, REQUESTS
from support.rules import document

SEED = 20_261_128
_NAMES = ["", "sales", "employees", "visitors", "経理", "a.b", "*", "null", "x" * 200, "\u202e"]


def grid() -> Iterator[dict[str, Any]]:
    """The requests of tests/golden/decisions.txt."""
    for principal, content, request in product(
        PRINCIPALS.values(), CONTENT.values(), REQUESTS.values()
    ):
        yield document(**principal, **content, **request)


def _tool(chance: random.Random) -> dict[str, Any] | None:
    name, arguments = chance.choice(["crm.read", *_NAMES]), {"to": chance.choice(_NAMES)}
    whole = chance.random() < 0.8
    call = {"name": name, "arguments": arguments if whole else {}, "whole": whole}
    return chance.choice([call, call, call, None])


def random_inputs(count: int, seed: int = SEED) -> Iterator[dict[str, Any]]:
    """Inputs of the right shape with unlikely values."""
    chance = random.Random(seed)  # noqa: S311 - the same inputs every time are wanted

    def some(values: list[Any], most: int = 3) -> list[Any]:
        return chance.sample(values, chance.randint(0, min(most, len(values))))

    for _ in range(count):
        stage = chance.choice(["request"] * 8 + ["tool_call"] * 4 + ["response"] * 2 + ["odd"])
        yield document(
            stage=stage,
            tool=_tool(chance) if stage == "tool_call" else None,
            schema=chance.choice(["sekisho.input/v1"] * 9 + ["sekisho.input/v2"]),
            principal__id=chance.choice(["staff-7", *_NAMES]),
            principal__groups=some(["employees", "sales", "engineering", *_NAMES]),
            principal__roles=some(["employee", "reviewer", "operator", *_NAMES]),
            principal__training_until=chance.choice([None, 0, 1_800_000_000, 2**53]),
            request__model=chance.choice(["model-1", "gpt-4o", "runaway", *_NAMES]),
            request__backend=chance.choice(["backend-1", None, *_NAMES]),
            request__trust=chance.choice(["external", "region", "onprem", None]),
            request__mode=chance.choice(["assistant", "copilot"]),
            request__stream=chance.random() < 0.5,
            request__max_tokens=chance.choice([None, 0, 1, 4096, 2**31, 2**53]),
            request__estimated_tokens=chance.choice([0, 10, 10**9]),
            request__tools=some(["crm.read", "crm.update", *_NAMES], 5),
            request__hosted=some(["enable_search", "web_search", *_NAMES], 2),
            request__unknown_fields=some(["zeal", *_NAMES], 2),
            content__labels=some(["secret", "review", *_NAMES]),
            content__entities={
                kind: chance.choice([1, 2, 10**6])
                for kind in some(["email", "card", "resident_id", "credential_aws", *_NAMES])
            },
            content__chars=chance.choice([0, 40, 10**7]),
            content__opaque_chars=chance.choice([0, 0, 4000]),
            content__size=chance.choice(["small", "medium", "large", "huge"]),
            context__office_hours=chance.random() < 0.5,
            context__spend=chance.choice([None, {"month": 10**9}]),
            context__halt=chance.random() < 0.1,
        )
