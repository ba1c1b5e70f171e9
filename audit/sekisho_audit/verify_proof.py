"""Verifying one event by its proof, or a file of receipts: offline, without the ledger.

The proof shows that the ledger's key signed a tree with this event at this index. It cannot show
what else is in the ledger, nor that the ledger still has it: for that, verify the ledger with the
receipt or its checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sekisho_audit.bundle_keys import REPLACED, UnknownKey, chain_of, read_changes
from sekisho_audit.canon import NotCanonical, decode
from sekisho_audit.checkpoint import BadNote, VerifierKey, read_unverified, split_note
from sekisho_audit.events import BadEvent
from sekisho_audit.form import check_keys, check_leaf
from sekisho_audit.key_chain import KeyChain
from sekisho_audit.proof import MAGIC, PROOF_BYTES_MAX, Proof
from sekisho_audit.receipt import Receipt
from sekisho_audit.report import Fault, Report, Verdict
from sekisho_audit.tree import BadProof, leaf_hash

PROOFS_MAX = 1_000
_NO_KEY = (
    "No key was given. Get the ledger's public key from somewhere else than this file, and give it "
    "with --key."
)
_NOT_OF_YOURS = (
    "your key is none of theirs: see that both are of the ledger you mean, and come from where you "
    "think"
)
_EVENTS = {
    "request.received": "received",
    "backend.intent": "intent",
    "backend.outcome": "outcome",
    "outcome.late": "outcome",
    "exchange.appealed": "appeal",
}
_SCOPE = (
    "Proved is that this event was in the ledger when the checkpoint was signed. Whether the "
    "ledger still has it, and keeps its rules, is shown by verifying the ledger itself."
)


class NoProof(ValueError):
    """A file that holds no proof; says what is expected."""


def read_proofs(path: Path) -> list[Proof]:
    """The proofs in a `.tlog-proof` or in what `/v1/audit/receipts/` answers. Raises NoProof,
    BadProof, OSError.
    """
    if path.exists() and not path.is_file():
        raise NoProof("this is no file")
    if path.stat().st_size > PROOFS_MAX * PROOF_BYTES_MAX:
        raise NoProof("the file is too large to be a proof")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise NoProof("the file is not UTF-8") from error
    if text.startswith(MAGIC):
        return [Proof.parse(text)]
    return list(_listed(text))


def _listed(text: str) -> Iterator[Proof]:
    """The proofs of an answer of the gateway. What it says beside them must be what they prove."""
    try:
        document: Any = json.loads(text, object_pairs_hook=_once)
        listed = [(item["proof"], item) for item in document["proofs"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NoProof(
            "neither a tlog-proof nor the answer of /v1/audit/receipts/ with proofs in it"
        ) from error
    if not all(isinstance(proof, str) for proof, _ in listed) or len(listed) > PROOFS_MAX:
        raise NoProof("a proof in it is not a text, or there are too many")
    if not listed:
        raise NoProof("there is no proof in it yet: ask for the receipts again in a second")
    for proof, item in listed:
        parsed = Proof.parse(proof)
        _agree(document, item, parsed)
        yield parsed


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice")
    return found


def _agree(document: dict[str, Any], item: dict[str, Any], proof: Proof) -> None:
    """Raises BadProof where the words around a proof say something else than its event."""
    try:
        leaf = decode(proof.leaf)
        said = {
            "index": proof.index,
            "leaf": leaf_hash(proof.leaf).hex(),
            "event": _EVENTS.get(leaf["type"]),
        }
        about = {"object": "exchange.receipt", "exchange": leaf["exchange"], "origin": leaf["log"]}
    except (NotCanonical, KeyError, TypeError) as error:
        raise BadProof(f"what is proved is no event of an exchange: {error}") from error
    for where, wanted, free in ((item, said, {"proof"}), (document, about, {"proofs", "pending"})):
        for name in where.keys() - free:
            if name not in wanted or where[name] != wanted[name]:
                raise BadProof(f"event {proof.index}: {name!r} says what the event does not say")


def verify_file(
    path: Path, *, key: VerifierKey | None, receipt: Receipt | None = None, changes: bytes = b""
) -> Report:
    """What the proofs in a file show. Never raises for what it finds there.

    `changes` is a file of changes of keys: then any key of the ledger will do as `key`.
    """
    report = Report()
    try:
        proofs = read_proofs(path)
    except BadProof as error:
        report.faults.append(Fault(str(error), file=path.name))
        proofs = []
    except (NoProof, OSError) as error:
        report.doubts.append(Fault(str(error), file=path.name))
        proofs = []
    if key is None:
        report.doubts.append(Fault(_NO_KEY))
    else:
        _check_all(proofs, _keys(key, changes, report), receipt, report)
    if report.faults:
        report.verdict = Verdict.TAMPERED
    elif report.doubts:
        report.verdict = Verdict.CANNOT_TELL
    else:
        report.notes.append(_SCOPE)
    return report


def _keys(key: VerifierKey, changes: bytes, report: Report) -> KeyChain | None:
    """The keys of the ledger, of which `key` is trusted. None if the changes lead nowhere."""
    try:
        given = read_changes(changes, key.name) if changes else []
        chain = chain_of((), given, given[-1].new if given else key, key)
    except (BadNote, UnknownKey) as error:
        said = _NOT_OF_YOURS if isinstance(error, UnknownKey) else str(error)
        report.doubts.append(Fault(f"the changes of keys that were given: {said}"))
        return None
    report.keys = chain.says()
    return chain


def _check_all(
    proofs: list[Proof], keys: KeyChain | None, receipt: Receipt | None, report: Report
) -> None:
    if keys is None:
        return
    for proof in proofs:
        _check(proof, keys, report)
    if receipt is not None and not report.faults:
        _compare(receipt, proofs, keys, report)


def _check(proof: Proof, keys: KeyChain, report: Report) -> None:
    key = keys.current
    try:
        key = keys.at(read_unverified(proof.note).size)
        checkpoint = proof.check(key)
        leaf = decode(proof.leaf)
        check_leaf(leaf, proof.index, checkpoint.origin)
        check_keys(leaf)
    except (BadProof, BadNote, NotCanonical, BadEvent) as error:
        other = _signed_by_another(proof, key, keys)
        if other:
            report.doubts.append(Fault(other, index=proof.index))
        else:
            report.faults.append(Fault(str(error), index=proof.index))
        return
    report.origin, report.root = checkpoint.origin, checkpoint.root.hex()
    report.signed_size = max(report.signed_size, checkpoint.size)
    report.size += 1
    if key != keys.current and REPLACED not in report.notes:
        report.notes.append(REPLACED)
    report.proved.append(f"{proof.index}  {leaf['type']}  {leaf['exchange'] or '-'}")
    report.types[leaf["type"]] = report.types.get(leaf["type"], 0) + 1


def _signed_by_another(proof: Proof, key: VerifierKey, keys: KeyChain) -> str:
    """Words about a note that only another key of this name seems to have signed: the signing key
    may have changed, before this proof was made or since. Empty if that is not so.
    """
    try:
        _, lines = split_note(proof.note)
    except BadNote:
        return ""
    ids = [behind[: len(key.key_id)].hex() for name, behind in lines if name == key.name]
    if not ids or key.key_id.hex() in ids:
        return ""
    if ids[0] in {known.key_id.hex() for known in keys.keys}:
        return (
            f"signed by a key of {key.name}, with the id {ids[0]}, that was not in force then: "
            "whoever stole it may have made this; ask for the proof again"
        )
    return (
        f"signed by another key of {key.name}, with the id {ids[0]}: give that one, or with "
        "--key-changes what `sekisho-audit keys --out` wrote, or ask for the proof again"
    )


def _compare(receipt: Receipt, proofs: list[Proof], keys: KeyChain, report: Report) -> None:
    """Whether the receipt is of one of the proved events."""
    try:
        signed = keys.open(receipt.note)
    except BadNote as error:
        # Whoever has no key of the ledger can make one up: it is evidence of nothing.
        report.doubts.append(Fault(f"the receipt was not signed by this key: {error}"))
        return
    if not receipt.index < signed.size:
        report.doubts.append(Fault("the receipt's checkpoint does not cover its event"))
    for proof in proofs:
        if proof.index == receipt.index:
            if leaf_hash(proof.leaf) != receipt.leaf:
                what = (
                    "another event is proved to stand where the receipt has its own: only the "
                    "receipt's checkpoint is signed, so somebody may have altered its hash"
                )
                report.doubts.append(Fault(what, index=proof.index))
            return
    report.doubts.append(Fault("none of the proofs is of the receipt's event", index=receipt.index))
