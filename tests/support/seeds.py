"""A desk where test items are made up, over the parts of a desk of holds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC

from sekisho.content.scan import Scanner
from sekisho.holding.seed_desk import People, SeedDesk, Surroundings
from sekisho.model.catalog import Backend, Catalog
from sekisho.model.office import Office
from support.holds import Desk

HELD_BY = "sekisho.hold.salary"
BACKENDS = (Backend("demo", ("gpt-*",), "external"), Backend("inside", ("llama",), "onprem"))
OFFICE = Office(zone=UTC)


def seed_desk(
    desk: Desk,
    people: People,
    *,
    rules: frozenset[str] | None = frozenset({HELD_BY}),
    counted: Callable[[], None] = lambda: None,
    waiting: Callable[[], AbstractContextManager[object]] = nullcontext,
    wait_s: float = 0,
) -> SeedDesk:
    """The shipped words are not in it, one word of ours is."""
    around = Surroundings(
        rules=lambda: rules,
        revision=lambda: "sha256:00ff",
        scanner=Scanner({"pay": ["salaries"]}),
        catalog=Catalog(BACKENDS),
        office=OFFICE,
        ttl_s_max=desk.limits.ttl_s_max,
        counted=counted,
        waiting=waiting,
        wait_s=wait_s,
    )
    return SeedDesk(desk.store, desk.ledger, people, around)
