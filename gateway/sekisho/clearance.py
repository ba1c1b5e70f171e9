"""Proof that an exchange may leave.

Only `stages/clear.py` creates a Clearance: an import contract keeps everyone else away from the
constructor and a house test looks for calls. `forward` accepts only `Recorded`, which holds one,
so a path that skips the rules, the people or the ledger does not type-check.
"""

from __future__ import annotations

from dataclasses import dataclass

from sekisho.model.outgoing import Approval, Outgoing


@dataclass(frozen=True, slots=True)
class Clearance:
    """These bytes may leave: policy allowed them, people approved them (`approval`), or people
    agreed before and the ledger has the use of their grant (`granted`), or whoever asked opened it
    in an emergency (`opening`, granted too). That is for one sending.
    """

    outgoing: Outgoing
    approval: Approval | None
    granted: bool = False
    opening: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The intent to send these bytes is durable. `intent` is its event id, `index` its place,
    `receipt` what the client gets to hold against us: index, leaf hash, signed checkpoint.
    """

    clearance: Clearance
    intent: str
    index: int
    receipt: str = ""
