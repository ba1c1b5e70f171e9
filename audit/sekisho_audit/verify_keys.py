"""The verifier's view of the keys: which one must have signed what, as the ledger itself tells.

Whoever kept an old key follows it: each change of keys is signed by the key before and the key
after, over the events before it. A checkpoint must be signed by the key in force at its size, so a
key that was replaced, and stolen afterwards, signs nothing new.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sekisho_audit.checkpoint import BadNote, VerifierKey
from sekisho_audit.key_chain import KeyChain, Rotation, find_rotations
from sekisho_audit.verdict import Findings, Signed


def follow(ledger: Path, trusted: VerifierKey, findings: Findings) -> KeyChain:
    """The keys of a ledger in a directory, of which `trusted` must be one."""
    return follow_leaves(find_rotations(ledger), trusted, findings)


def follow_leaves(
    leaves: Iterable[Mapping[str, Any]], trusted: VerifierKey, findings: Findings
) -> KeyChain:
    """The keys that leaves of rotations tell, of which `trusted` must be one; the report names
    them. What does not hold is a fault, and then there is only `trusted`.
    """
    rotations = []
    for leaf in leaves:
        try:
            rotations.append(Rotation.read(leaf))
        except (BadNote, KeyError, TypeError, AttributeError) as error:
            index = leaf.get("n")
            place = {"index": index} if type(index) is int else {}
            findings.fault(f"the change of keys does not hold: {error}", **place)
    try:
        chain = KeyChain(trusted, rotations)
    except BadNote as error:
        findings.fault(f"the keys do not follow one another: {error}")
        return KeyChain(trusted)
    if trusted not in chain.keys:
        findings.fault(f"the key {trusted.line()} was never in force in this ledger")
        return KeyChain(trusted)
    findings.report.keys = chain.says()
    return chain


def check_vkey(found: VerifierKey, chain: KeyChain, findings: Findings) -> None:
    """The key in the directory must be the one in force."""
    if found == chain.current:
        return
    if chain.rotations and found == chain.rotations[-1].old:
        findings.doubt(
            "a change of keys is not finished: the writer was killed on the way; start auditd",
            file="vkey",
        )
    elif chain.rotations:
        findings.fault("the key in the directory is not the one in force", file="vkey")
    else:
        findings.fault("the key in the directory is not the one given", file="vkey")


def hand_overs(chain: KeyChain) -> list[Signed]:
    """What both keys signed at each change, to be compared with what is read."""
    return [
        Signed(one.before, f"change of keys at event {one.index}", bounds=False)
        for one in chain.rotations
    ]
