"""Drafts as the ledger knows them: of which answers nobody has said yet what became of them.

A decision about a request can say `drafts_max`: whoever asks has at most so many answers open. An
answer is open from its intent on until its requester has said what became of it
(`draft.answered`), or nothing of it was given out. While too many are open, no further intent of
that requester under such a decision is recorded, so what the ledger has wins over what a gateway
remembers.

`rules.py` shows the leaves in order and keeps the way back; here is the state and what it means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sekisho_audit.officer_rules import Put
from sekisho_audit.standing import Leaf, RuleBroken

NAMED_MAX = 5  # exchanges that a refusal names; whoever asked finds all of them in their history


class DraftRules:
    """`wanted`: how many a decision allows, by exchange; `open`: exchanges by requester."""

    def __init__(self, put: Put, drop: Callable[[dict[str, Any], str], None]) -> None:
        self._put, self._drop = put, drop
        self.wanted: dict[str, int] = {}
        self.open: dict[str, tuple[str, ...]] = {}

    def decide(self, leaf: Leaf) -> None:
        """After a decision about a request: a later one does not take the rule back."""
        obligations, exchange = leaf["data"]["obligations"], leaf["exchange"]
        if "drafts_max" not in obligations:
            return
        most = obligations["drafts_max"]
        # What cannot be read is asked for all the same, where least is let through.
        most = most if type(most) is int and most > 0 else 1
        self._put(self.wanted, exchange, min(most, self.wanted.get(exchange, most)))

    def check_intent(self, leaf: Leaf) -> None:
        """Raises RuleBroken (`drafts_outstanding`) if too many answers are open."""
        exchange, most = leaf["exchange"], self.wanted.get(leaf["exchange"])
        if most is None:
            return
        others = [one for one in self.open.get(leaf["principal"], ()) if one != exchange]
        if len(others) >= most:
            named = ", ".join(others[:NAMED_MAX])
            message = f"{len(others)} answers wait for a word of whoever asked: {named}"
            raise RuleBroken("drafts_outstanding", message)
        self._open(leaf)

    def end(self, exchange: str, principal: str | None, outcome: Mapping[str, Any]) -> None:
        """After the outcome of an intent of this `principal`: what was given out is open, also a
        part of it. Who hangs up before the end of a stream has had what they read.
        """
        given = outcome["status"] == "released" or outcome.get("chunks", 0) > 0
        if exchange in self.wanted and not given:
            self._close(exchange, principal)

    def release(self, leaf: Leaf) -> None:
        """A held answer was given out after all."""
        if leaf["exchange"] in self.wanted:
            self._open(leaf)

    def answer(self, leaf: Leaf) -> None:
        """Whoever asked has said what became of it. Of others it is not their word."""
        if leaf["actor"] == leaf["principal"]:
            self._close(leaf["exchange"], leaf["principal"])

    def _open(self, leaf: Leaf) -> None:
        known = self.open.get(leaf["principal"], ())
        if leaf["exchange"] not in known:
            self._put(self.open, leaf["principal"], (*known, leaf["exchange"]))

    def _close(self, exchange: str, principal: str | None) -> None:
        known = self.open.get(principal or "", ())
        if exchange not in known:
            return
        left = tuple(one for one in known if one != exchange)
        if left:
            self._put(self.open, str(principal), left)
        else:
            self._drop(self.open, str(principal))
