"""Holds that are not over, read back from the ledger with the content needed to build them again.

The book of rules knows them by pseudonyms; here the keys are at hand, so whoever keeps the live
state of holds gets ids, records and reasons. A hold whose principal was erased cannot be opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from sekisho_audit.break_glass_rules import Opening
from sekisho_audit.grant_rules import Grant
from sekisho_audit.halt_rules import Standing
from sekisho_audit.keyring import Keyring
from sekisho_audit.rules import Book
from sekisho_audit.sample_rules import Sample
from sekisho_audit.scan import PAYLOADS, BrokenSegment, read_frame
from sekisho_audit.seal import Unreadable, unseal
from sekisho_audit.standing import Filed, reviewer
from sekisho_audit.undrawn import KeysOf, undrawn

SAMPLES_TOLD = 5_000  # some 3 MB; whoever judges begins with the oldest


@dataclass(frozen=True, slots=True)
class HoldRecord:
    """A hold with the content needed to rebuild it; the gateway's port has the same fields."""

    hold: str
    filed_index: int
    record: bytes
    reviews: tuple[Mapping[str, Any], ...]
    settled: Mapping[str, Any] | None
    settled_index: int | None
    intent: bool
    outcome: str | None
    justified: Mapping[str, Any] | None = None


class OpenHolds:
    """Reads holds of one ledger. Used by the writer's thread; `places` grows by
    the writer.
    """

    def __init__(self, book: Book, places: dict[str, tuple[Path, int]], keyring: Keyring) -> None:
        self._book = book
        self._places = places
        self._keyring = keyring

    def forget(self, before_us: int) -> None:
        """Forget holds that ended before."""
        self._book.forget_holds(before_us)
        self.forget_places()

    def open(self, after: str, since_us: int) -> Iterator[HoldRecord]:
        """Holds that something happened to since then, or that are under way; ordered by id.

        Raises OSError if stored content cannot be read any more.
        """
        holds = self._book.holds
        for name in sorted(key for key in holds if key > after):
            filed = holds[name]
            if filed.touched_us() >= since_us or (filed.intent and not filed.outcome):
                record = self._content(filed.leaf, "hold")
                if record is not None:
                    yield self._record(filed, record)

    def waiting_of(self, person: str) -> list[Filed]:
        """Holds of a pseudonym that nobody has settled."""
        holds = self._book.holds.values()
        return [one for one in holds if one.leaf["principal"] == person and one.settled is None]

    def forget_places(self) -> None:
        """Forget where content stands that the book has forgotten."""
        holds, halts = self._book.holds.values(), self._book.halts.standing.values()
        said = [
            *(leaf for one in holds for leaf in (one.leaf, *one.reviews, one.justified) if leaf),
            *(one.leaf for one in halts),
            *(one.leaf for one in self._book.grants.standing.values()),
            *(one.leaf for one in self._book.break_glass.standing.values()),
        ]
        kept = {entry["ct"] for leaf in said for entry in leaf["pl"] if "ct" in entry}
        for name in [name for name in self._places if name not in kept]:
            del self._places[name]

    def halts(self) -> list[dict[str, Any]]:
        """The switches that stand, with their reasons: empty where nobody can read one any more."""
        return [self._halt(one) for one in self._book.halts.standing.values()]

    def _halt(self, one: Standing) -> dict[str, Any]:
        leaf, proposed = one.leaf, one.proposed
        try:
            reason = self._content(leaf, "reason") or b""
        except OSError:  # it stops what it stops, whether or not its reason can be read
            reason = b""
        who = self._keyring.principal_of
        return {
            **leaf["data"],
            "id": leaf["id"],
            "by": who(leaf["actor"]) or "",
            "reason": reason.decode("utf-8", "replace"),
            "set_us": leaf["ts"],
            "last": leaf["n"] if proposed is None else proposed["n"],
            "proposed": None
            if proposed is None
            else {
                "id": proposed["id"],
                "by": who(proposed["actor"]) or "",
                "at_us": proposed["ts"],
            },
        }

    def grants(self) -> list[dict[str, Any]]:
        """The grants that stand; without the terms of one that nobody can read any more."""
        return [self._grant(one) for one in self._book.grants.standing.values()]

    def _grant(self, one: Grant) -> dict[str, Any]:
        leaf, confirmed, who = one.leaf, one.confirmed, self._keyring.principal_of
        try:
            terms = self._content(leaf, "terms") or b""
        except OSError:  # then it answers nothing, and can still be revoked
            terms = b""
        meant = leaf["principal"]
        return {
            **leaf["data"],
            "id": leaf["id"],
            "principal": None if meant is None else who(meant) or "",
            "terms": terms.decode("utf-8", "replace"),
            "proposed_by": who(leaf["actor"]) or "",
            "confirmed_by": None if confirmed is None else who(confirmed["actor"]) or "",
            "confirmed_counts_for": [] if confirmed is None else confirmed["data"]["counts_for"],
            "proposed_us": leaf["ts"],
            "until_us": one.until_us,
            "used": one.used,
            "halted": one.halted,
        }

    def samples(self) -> dict[str, Any]:
        """The terms in force, the samples that stand with who may not judge them, and figures."""
        rules = self._book.samples
        oldest = sorted(rules.standing.values(), key=lambda one: int(one.leaf["n"]))
        terms = max(rules.terms.values(), key=lambda leaf: int(leaf["n"]), default=None)
        return {
            "terms": None if terms is None else {**terms["data"], "id": terms["id"]},
            "samples": [self._sample(one) for one in oldest[:SAMPLES_TOLD]],
            "figures": [[key, *astuple(one)] for key, one in rules.tallies.items()],
        }

    def _sample(self, one: Sample) -> dict[str, Any]:
        leaf, who = one.leaf, self._keyring.principal_of
        return {
            "id": leaf["id"],
            "exchange": leaf["exchange"],
            "principal": who(leaf["principal"] or "") or "",
            **{name: leaf["data"][name] for name in ("model", "backend", "rules", "risk")},
            "per_10000": leaf["data"]["per_10000"],
            "opening": leaf["data"].get("opening", ""),
            "drawn_us": leaf["ts"],
            "until_us": one.until_us,
            "content": one.content,
            "needed": one.verdicts_needed,
            "barred": sorted(filter(None, map(who, one.barred))),
            "verdicts": [
                {
                    "by": who(each["actor"]) or "",
                    "verdict": each["data"]["verdict"],
                    "at_us": each["ts"],
                }
                for each in one.verdicts
            ],
        }

    def undrawn(self, after: int, now_us: int, keys_of: KeysOf) -> dict[str, Any]:
        """Exchanges whose draw was lost; see `undrawn.py`."""
        who = self._keyring.principal_of
        return undrawn(self._book.samples, after, now_us, who, keys_of)

    def openings(self) -> list[dict[str, Any]]:
        """The openings that nobody reviewed; without the reason of one that nobody can read."""
        return [self._opening(one) for one in self._book.break_glass.standing.values()]

    def _opening(self, one: Opening) -> dict[str, Any]:
        leaf, ended = one.leaf, one.ended
        try:
            reason = self._content(leaf, "reason") or b""
        except OSError:  # it is open and has to be reviewed, whether or not that can be read
            reason = b""
        cause = "" if ended is None else ended["data"]["cause"]
        return {
            **leaf["data"],
            "id": leaf["id"],
            "person": self._keyring.principal_of(leaf["actor"]) or "",
            "reason": reason.decode("utf-8", "replace"),
            "opened_us": leaf["ts"],
            "until_us": one.until_us,
            "review_by_us": one.review_by_us,
            "used": one.used,
            "ended": "halted" if one.halted_us is not None else cause,
        }

    def _record(self, filed: Filed, record: bytes) -> HoldRecord:
        settled = filed.settled
        return HoldRecord(
            hold=filed.hold,
            filed_index=filed.leaf["n"],
            record=record,
            reviews=tuple(self._review(leaf) for leaf in filed.reviews),
            settled=None if settled is None else {**settled["data"], "id": settled["id"]},
            settled_index=None if settled is None else settled["n"],
            intent=filed.intent is not None,
            outcome=filed.outcome,
            justified=None if filed.justified is None else self._justified(filed.justified),
        )

    def _justified(self, leaf: Mapping[str, Any]) -> dict[str, Any]:
        reason = self._content(leaf, "reason") or b""
        return {
            **leaf["data"],
            "id": leaf["id"],
            "at_us": leaf["ts"],
            "person": self._keyring.principal_of(leaf["actor"]),
            "reason": reason.decode("utf-8", "replace"),
        }

    def _review(self, leaf: Mapping[str, Any]) -> dict[str, Any]:
        reason = self._content(leaf, "reason") or b""
        return {
            **leaf["data"],
            "id": leaf["id"],
            "index": leaf["n"],
            "at_us": leaf["ts"],
            "reviewer": self._keyring.principal_of(leaf["actor"]),
            "person": self._keyring.principal_of(reviewer(leaf)),
            "reason": reason.decode("utf-8", "replace"),
        }

    def _content(self, leaf: Mapping[str, Any], name: str) -> bytes | None:
        for entry in leaf["pl"]:
            place = self._places.get(entry.get("ct", ""))
            if entry["name"] != name or place is None:
                continue
            pseudonym, _, shelf = entry["kref"].partition("/")
            secret = self._keyring.key_of(self._keyring.principal_of(pseudonym) or "", shelf)
            if secret is None:
                return None
            try:
                return unseal(secret, leaf["id"], name, read_frame(*place, PAYLOADS).body)
            except (BrokenSegment, Unreadable) as error:
                raise OSError(str(error)) from error
        return None
