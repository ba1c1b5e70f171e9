"""Makes a golden ledger: a small one with all that the format has, to be kept as files for ever.

    cd tests && ../.venv/bin/python -m support.golden_ledger v1

writes `golden/ledgers/v1` and prints the line for `golden/test_ledgers.py`. It does not write over
one that is there: a golden ledger is never made again. The keys are worthless.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from sekisho.model.ids import uuid7
from sekisho_audit.events import RESERVED, TYPES, Event, Payload
from sekisho_audit.kinds import EventType, Field
from sekisho_audit.ledger import Ledger, Limits
from sekisho_audit.prove import prove
from sekisho_audit.receipt import Receipt
from sekisho_audit.verify import verify
from support.golden_officers import anchors, change_key, office, rolled_back
from support.golden_reviews import reviews
from support.ledgers import (
    REVIEWER,
    STAFF,
    HeldExchange,
    decision,
    intent,
    outcome,
    received,
    run_exchange,
    run_held_exchange,
)

HERE = Path(__file__).resolve().parents[1] / "golden" / "ledgers"
ORIGIN = "ledger.example/golden"
ERASED = "somebody-who-left@ledger.example"
IN_PRUNED = frozenset({"audit.pruned", "retention.begun", "retention.applied"})
"""What `golden_pruned.py` has: it takes years."""
LIMITS = Limits(segment_bytes=2_000)
CHARGE = {"tokens": 90, "spend_micros": 12, "prices": "sha256:0", "groups": ["g-1"]}
SAMPLES: dict[str, Any] = {
    "text": "机密 text é",
    "number": 7,
    "flag": True,
    "texts": ["one", "zwei"],
    "document": {"in": {"deep": [1, None]}},
    "person": STAFF,
    "charged": CHARGE,
    "reasons": [{"code": "ok", "rule": "sekisho.default", "msg": "fine"}],
    "observed": [{"mode": "warn", "effect": "deny", "code": "no", "rule": "packs.team.a"}],
    "thresholds": [{"reviewers": "reviewer", "approve": 1, "deny": 1}],
}


def keys(directory: Path) -> None:
    """Installation keys that anybody can work out: worthless."""
    directory.mkdir(mode=0o700)
    for name in ("signing.key", "kek", "pepper"):
        path = directory / name
        path.write_bytes(sha256(f"sekisho golden ledger, worthless: {name}".encode()).digest())
        path.chmod(0o600)


def opened(home: Path) -> Ledger:
    """The writer of the golden ledger in `home`."""
    return Ledger.open(home / "data" / "ledger", home / "keys", ORIGIN, limits=LIMITS)


def value(field: Field) -> Any:
    """Something that a field may hold."""
    if field.kind.name:
        return SAMPLES[field.kind.name]
    return cast("list[str]", field.kind.schema["enum"])[0]


def sample(kind: str, known: EventType) -> Event:
    """An event of this type with every member and payload it may have."""
    data = {name: value(field) for name, field in {**known.required, **known.optional}.items()}
    names = (*known.payloads, *known.optional_payloads)
    content = tuple(Payload(name, name.encode(), name.encode()) for name in names)
    exchange = uuid7() if known.exchange else None
    actor = REVIEWER if known.actor else None
    return Event(uuid7(), kind, exchange, STAFF, data, actor=actor, payloads=content)


def first_life(ledger: Ledger) -> Event:
    """Exchanges of every ending; returns the intent whose receipt is kept."""
    ledger.open_session("s-1", 1)
    exchange = uuid7()
    sent = intent(exchange, "s-1", charged=CHARGE)
    ledger.append_batch([received(exchange, principal=ERASED), decision(exchange), sent])
    kept = run_exchange(ledger, "s-1", b'{"messages":["kept"]}')
    ledger.append_batch([outcome(sent)])
    run_held_exchange(ledger, "s-1")
    denied = HeldExchange(person="owner-1@ledger.example")
    ledger.append_batch(denied.filing())
    review = denied.review(answer="deny")
    ledger.append_batch([review, denied.settled([review], "denied")])
    ordered = HeldExchange(second="compliance")
    ledger.append_batch(ordered.filing())
    said = [ordered.review(), ordered.review("compliance-1@ledger.example", step=2)]
    ledger.append_batch([*said, ordered.settled(said)])
    twice = HeldExchange(approve=2)
    ledger.append_batch(twice.filing())
    [*_, again] = HeldExchange(twice.exchange, twice.hold, b"other bytes", version=2).filing()
    ledger.append_batch([again])
    lost = intent(uuid7(), "s-1")
    exchange = cast("str", lost.exchange)
    ledger.append_batch([received(exchange), decision(exchange), lost])
    ledger.close_session("s-1", "gone")
    cut = {"intent": lost.id, "cause": "client_gone"}
    ledger.append_batch([outcome(lost), Event(uuid7(), "delivery.cut", exchange, STAFF, cut)])
    return kept


def the_rest(ledger: Ledger) -> None:
    """Every type of event that is not there yet."""
    there = verify(ledger.directory).types
    for kind, known in TYPES.items():
        if kind not in there and kind not in RESERVED:
            ledger.append_batch([sample(kind, known)])


def killed(ledger: Ledger) -> None:
    """The process dies while it writes: nothing is closed, and a record is torn."""
    events = max((ledger.directory / "events").iterdir())
    ledger.files.close()
    ledger._keyring.close()
    ledger._lock.release()
    with events.open("ab") as file:
        file.write(b"\0\0\1\0torn")


def proofs(home: Path, exchange: str) -> Iterator[tuple[str, str]]:
    """Name and text of proofs, one by one, and of the answer with those of one exchange."""
    listed = []
    for proof in prove(home / "data" / "ledger", lambda _: True):
        leaf = json.loads(proof.leaf)
        if leaf["exchange"] == exchange:
            listed.append({"index": proof.index, "proof": proof.text()})
        if proof.index % 12 == 0:
            yield f"{proof.index:012d}.tlog-proof", proof.text()
    about = {"object": "exchange.receipt", "exchange": exchange, "origin": ORIGIN, "pending": 0}
    yield "answer.json", json.dumps({**about, "proofs": listed}, indent=1)


def make(home: Path) -> None:
    """Live through everything, and keep what others would have kept meanwhile."""
    home.mkdir()
    keys(home / "keys")
    ledger = opened(home)
    change_key(ledger, home)
    kept = first_life(ledger)
    note = ledger.note()
    [place] = ledger.append_batch([kept])  # known: answers with its place
    receipt = Receipt(place.index, bytes.fromhex(place.leaf), note)
    (home / "receipt").write_text(receipt.header() + "\n")
    ledger.write_checkpoint()
    (home / "pinned").write_bytes((home / "data" / "ledger" / "checkpoint").read_bytes())
    killed(ledger)
    ledger = opened(home)
    reviews(ledger)
    the_rest(ledger)
    office(ledger, home, cast("str", kept.exchange), STAFF, ERASED)
    anchors(ledger, home)
    rolled_back(ledger)
    ledger.close()
    (home / "proofs").mkdir()
    for name, text in proofs(home, cast("str", kept.exchange)):
        (home / "proofs" / name).write_text(text)


if __name__ == "__main__":
    [name] = sys.argv[1:]
    if (HERE / name).exists():
        sys.exit(f"{name} exists; a golden ledger is kept, never made again")
    make(HERE / name)
    report = verify(HERE / name / "data" / "ledger")
    missing = sorted(TYPES.keys() - report.types.keys() - IN_PRUNED)
    if report.faults or report.doubts or missing:
        sys.exit(f"not what it should be: {report.faults} {report.doubts} {missing}")
    sys.stdout.write(f'    "{name}": ({report.size}, "{report.root}"),\n')
