"""Leaves as far as figures of reviewers read them, and the rows made from them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from sekisho_audit.review_rows import SCHEMA, ReviewRows

Leaf = dict[str, Any]


class Written:
    """Leaves in order, as far as figures read them."""

    def __init__(self) -> None:
        self.leaves: list[Leaf] = []
        self.now_us = 1_000_000

    def add(self, kind: str, exchange: str, actor: str | None = None, **data: Any) -> Leaf:
        leaf = {
            "n": len(self.leaves),
            "ts": self.now_us,
            "type": kind,
            "exchange": exchange,
            "principal": "p-asker",
            "actor": actor,
            "data": data,
        }
        self.leaves.append(leaf)
        return leaf

    def decided(self, exchange: str, *rules: str, stage: str = "request") -> None:
        self.add(
            *("policy.decision", exchange),
            stage=stage,
            effect="hold",
            rules=list(rules),
            obligations={},
        )

    def filed(self, hold: str, version: int = 1, stage: str = "request", **more: Any) -> None:
        self.add("hold.filed", f"x-{hold}", hold=hold, version=version, stage=stage, **more)

    def seeded(self, hold: str, rule: str) -> None:
        self.add("hold.seeded", f"x-{hold}", hold=hold, version=1, stage="request", rule=rule)

    def settled(self, hold: str, state: str, version: int = 1) -> None:
        said: dict[str, Any] = {
            "hold": hold,
            "version": version,
            "state": state,
            "binding": "b",
            "reviews": [],
        }
        self.add("hold.settled", f"x-{hold}", **said)

    def shown(self, hold: str, reader: str, purpose: str = "review") -> None:
        said = {"purpose": purpose, "part": "outgoing", "hold": hold}
        self.add("record.read", f"x-{hold}", reader, **said)

    def answered(self, hold: str, reviewer: str, decision: str, version: int = 1) -> None:
        said = {"hold": hold, "version": version, "decision": decision, "binding": "b"}
        self.add("hold.review", f"x-{hold}", reviewer, **said)


def kept(leaves: Sequence[Leaf]) -> sqlite3.Connection:
    """The rows of these leaves."""
    db = sqlite3.connect(":memory:")
    db.executescript(SCHEMA)
    rows = ReviewRows(db)
    for leaf in leaves:
        rows.take(leaf)
    return db
