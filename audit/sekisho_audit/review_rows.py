"""Answers of reviewers as rows, taken leaf by leaf from the ledger: what `review_figures` counts.

A row says who answered which version of a hold when, what, and how long after they were first shown
it; where nobody recorded that they were, after it was filed. Nothing here names who asked. The rows
stand in the file of the history, under its cursor and in its transactions.

The rules of a hold are those of the decisions that led to it, because its filing names none: for a
request all that asked for people, for an answer also all that were about the answer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

SCHEMA = """
CREATE TABLE asked (exchange TEXT, of_request INTEGER, rule TEXT,
                    PRIMARY KEY (exchange, of_request, rule)) WITHOUT ROWID;
CREATE TABLE filed (hold TEXT, version INTEGER, n INTEGER NOT NULL, at_us INTEGER NOT NULL,
                    editor TEXT, PRIMARY KEY (hold, version)) WITHOUT ROWID;
CREATE TABLE ruled (hold TEXT, version INTEGER, rule TEXT,
                    PRIMARY KEY (hold, version, rule)) WITHOUT ROWID;
CREATE TABLE shown (hold TEXT, version INTEGER, reader TEXT, at_us INTEGER NOT NULL,
                    PRIMARY KEY (hold, version, reader)) WITHOUT ROWID;
CREATE TABLE answered (n INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, hold TEXT NOT NULL,
                       version INTEGER NOT NULL, reviewer TEXT NOT NULL, approved INTEGER NOT NULL,
                       took_us INTEGER NOT NULL, seeded INTEGER NOT NULL);
CREATE TABLE seeded (hold TEXT PRIMARY KEY, over INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX answered_at ON answered (at_us);
CREATE INDEX edited_at ON filed (at_us) WHERE editor IS NOT NULL;
"""

Leaf = Mapping[str, Any]
_REQUEST = "request"


class ReviewRows:
    """The rows in one open file. Every method may raise `sqlite3.Error`."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._seeded: set[str] = set()

    def load(self) -> None:
        """Read what it has to know by heart; the tables are there."""
        self._seeded = {hold for (hold,) in self._db.execute("SELECT hold FROM seeded")}

    def is_test(self, leaf: Leaf) -> bool:
        """Whether this leaf is about a test item and no request; asked in the order of the ledger,
        before the leaf is taken.
        """
        hold = leaf["data"].get("hold")
        if leaf["type"] == "hold.seeded":
            self._seeded.add(hold)
        return hold in self._seeded

    def take(self, leaf: Leaf) -> None:
        """Add what the next leaf says. The caller has begun a transaction."""
        rule = _RULES.get(leaf["type"])
        if rule is not None:
            rule(self, leaf)

    def oldest(self) -> int | None:
        """The first event that a row is made from, None if there are no rows."""
        found = self._db.execute(
            "SELECT min(n) FROM (SELECT min(n) AS n FROM answered UNION ALL"
            " SELECT min(n) FROM filed)"
        ).fetchone()
        return None if found[0] is None else int(found[0])

    def _decided(self, leaf: Leaf) -> None:
        data = leaf["data"]
        held = data["effect"] == "hold" or "hold_later" in data["obligations"]
        if held or (data["stage"] != _REQUEST and data["effect"] != "deny"):
            self._db.executemany(
                "INSERT OR IGNORE INTO asked VALUES (?, ?, ?)",
                [(leaf["exchange"], data["stage"] == _REQUEST, rule) for rule in data["rules"]],
            )

    def _filed(self, leaf: Leaf) -> None:
        data, hold, version = leaf["data"], leaf["data"]["hold"], leaf["data"]["version"]
        self._db.execute(
            "INSERT OR IGNORE INTO filed VALUES (?, ?, ?, ?, ?)",
            (hold, version, leaf["n"], leaf["ts"], data.get("editor")),
        )
        self._db.execute(
            "INSERT OR IGNORE INTO ruled SELECT DISTINCT ?, ?, rule FROM asked"
            " WHERE exchange = ? AND of_request >= ?",
            (hold, version, leaf["exchange"], data["stage"] == _REQUEST),
        )

    def _put(self, leaf: Leaf) -> None:
        data, hold, version = leaf["data"], leaf["data"]["hold"], leaf["data"]["version"]
        row = hold, version, leaf["n"], leaf["ts"], None
        self._db.execute("INSERT OR IGNORE INTO filed VALUES (?, ?, ?, ?, ?)", row)
        self._db.execute(
            "INSERT OR IGNORE INTO ruled VALUES (?, ?, ?)", (hold, version, data["rule"])
        )
        self._db.execute("INSERT OR IGNORE INTO seeded VALUES (?, 0)", (hold,))
        self._seeded.add(hold)

    def _settled(self, leaf: Leaf) -> None:
        hold = leaf["data"]["hold"]
        if hold in self._seeded:
            self._db.execute("UPDATE seeded SET over = 1 WHERE hold = ?", (hold,))

    def _read(self, leaf: Leaf) -> None:
        data = leaf["data"]
        if data["purpose"] != "review" or "hold" not in data:
            return
        # The latest version is the one that was there to be shown.
        self._db.execute(
            "INSERT OR IGNORE INTO shown"
            " SELECT hold, max(version), ?, ? FROM filed WHERE hold = ? GROUP BY hold",
            (leaf["actor"], leaf["ts"], data["hold"]),
        )

    def _answered(self, leaf: Leaf) -> None:
        data = leaf["data"]
        hold, version, reviewer = data["hold"], data["version"], leaf["actor"]
        begun = self._db.execute(
            "SELECT coalesce(shown.at_us, filed.at_us) FROM filed LEFT JOIN shown ON"
            " shown.hold = filed.hold AND shown.version = filed.version AND shown.reader = ?"
            " WHERE filed.hold = ? AND filed.version = ?",
            (reviewer, hold, version),
        ).fetchone()
        if begun is None:
            return  # its filing was pruned: neither its rule nor its time is known any more
        row = (
            *(leaf["n"], leaf["ts"], hold, version, reviewer),
            *(data["decision"] == "approve", max(0, leaf["ts"] - begun[0]), hold in self._seeded),
        )
        self._db.execute("INSERT INTO answered VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)


_RULES: Mapping[str, Callable[[ReviewRows, Leaf], None]] = {
    "policy.decision": ReviewRows._decided,  # noqa: SLF001
    "hold.filed": ReviewRows._filed,  # noqa: SLF001
    "hold.seeded": ReviewRows._put,  # noqa: SLF001
    "record.read": ReviewRows._read,  # noqa: SLF001
    "hold.settled": ReviewRows._settled,  # noqa: SLF001
    "hold.review": ReviewRows._answered,  # noqa: SLF001
}
