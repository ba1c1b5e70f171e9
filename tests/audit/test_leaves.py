"""From event to leaf: who and what do not get through, and the month is the exchange's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from sekisho.model.ids import uuid7
from sekisho_audit.canon import DEPTH_MAX, decode
from sekisho_audit.errors import Refused
from sekisho_audit.events import Event, Payload
from sekisho_audit.keyring import Keyring
from sekisho_audit.leaves import LeafBuilder
from sekisho_audit.seal import unseal
from support.ledgers import CANARY, STAFF, HeldExchange, decision, received

EXCHANGE = "01a20aa5-b98b-718b-a87b-437dba199f6a"
NOVEMBER_30_LAST_MS = 1_796_083_199_999


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "principals.keys", bytes(32))


@pytest.fixture
def builder(keyring: Keyring) -> LeafBuilder:
    return LeafBuilder("ledger.example/test", "boot-1", keyring, lambda: 42)


def test_month_is_that_of_the_exchange(builder: LeafBuilder) -> None:
    """A hold that lasts over midnight of a month keeps its keys."""
    for later, month in ((0, "2026-11"), (1, "2026-12")):
        event = received(uuid7(NOVEMBER_30_LAST_MS + later))
        [entry] = builder.build(event, 0).leaf["pl"]
        assert entry["kref"].partition("/")[2] == month


def test_leaf_has_the_envelope(builder: LeafBuilder) -> None:
    """All fields are there, always, and the caller's id and time are kept."""
    event = received(uuid7())
    built = builder.build(event, 7)
    assert orjson.loads(built.body) == built.leaf
    assert sorted(built.leaf) == sorted(
        [
            "v",
            "id",
            "log",
            "n",
            "boot",
            "ts",
            "type",
            "exchange",
            "principal",
            "actor",
            "data",
            "pl",
        ]
    )
    assert (built.leaf["id"], built.leaf["n"], built.leaf["ts"]) == (event.id, 7, 42)


def test_persons_and_content_do_not_get_through(builder: LeafBuilder) -> None:
    """Principal, actor and named persons become pseudonyms, content a commitment."""
    held = HeldExchange(person="owner-1@ledger.example")
    events = [*held.filing(), held.review(person="person-9@ledger.example")]
    for place, event in enumerate(events):
        built = builder.build(event, place)
        for secret in (b"staff-7", b"owner-1", b"person-9", b"reviewer-1", b"canary"):
            assert secret not in built.body
            assert all(secret not in stored for _, _, stored in built.stored)


def test_document_as_deep_as_a_reader_takes_is_built_and_no_deeper(builder: LeafBuilder) -> None:
    """Leaf and `data` are two levels of the twelve; else the verifier refuses what we wrote."""
    nested: dict[str, object] = {}
    for _ in range(DEPTH_MAX - 4):
        nested = {"in": nested}
    built = builder.build(decision(uuid7(), log=nested), 0)
    assert decode(built.body) == built.leaf
    with pytest.raises(Refused, match="obligations"):
        builder.build(decision(uuid7(), log={"in": nested}), 0)


def test_stored_payload_opens_with_the_principals_key(
    builder: LeafBuilder, keyring: Keyring
) -> None:
    """What was said can be read again by whoever has the key named in the leaf."""
    event = received(uuid7())
    built = builder.build(event, 0)
    entry = built.leaf["pl"][0]
    pseudonym, month = entry["kref"].split("/")
    secret = keyring.key_of(keyring.principal_of(pseudonym) or "", month)
    assert secret is not None
    [(name, digest, stored)] = built.stored
    assert unseal(secret, event.id, name, stored) == CANARY
    assert (digest, entry["len"]) == (entry["ct"], len(CANARY))


def test_commitment_is_to_the_exact_bytes_not_to_the_kept_ones(builder: LeafBuilder) -> None:
    """A redacted copy may be kept; the commitment still binds what was really sent."""
    event = received(uuid7())
    redacted = replace(event, payloads=(Payload("prompt", CANARY, b"[REDACTED]"),))
    one, two = builder.build(event, 0), builder.build(redacted, 0)
    assert one.commits == two.commits
    assert one.leaf["pl"][0]["len"] == two.leaf["pl"][0]["len"] == len(CANARY)


def test_payload_that_is_not_kept_is_only_committed(builder: LeafBuilder) -> None:
    """Without `stored` there is nothing to decrypt, ever."""
    event = replace(received(uuid7()), payloads=(Payload("prompt", CANARY),))
    built = builder.build(event, 0)
    assert built.stored == ()
    assert sorted(built.leaf["pl"][0]) == ["commit", "kref", "len", "name"]


def test_payload_needs_a_dated_id(builder: LeafBuilder) -> None:
    """Without an exchange the event's own id must say the month."""
    data = {"revision": "sha256:0"}
    undated = "5f0c9b1e-0000-4000-8000-000000000000"
    event = Event(undated, "policy.activated", None, STAFF, data, payloads=(Payload("b", b"x"),))
    with pytest.raises(Refused, match="uuid7"):
        builder.build(event, 0)
    assert builder.build(replace(event, id=uuid7()), 0).commits


def test_huge_payload_is_refused(builder: LeafBuilder) -> None:
    """A payload beyond what a segment takes is refused before it is sealed."""
    huge = bytes(32 * 1024 * 1024)
    event = replace(received(uuid7()), payloads=(Payload("prompt", huge, huge),))
    with pytest.raises(Refused) as caught:
        builder.build(event, 0)
    assert caught.value.code == "payload_too_large"


@pytest.mark.parametrize(
    ("principal", "exchange"), [("", EXCHANGE), ("x", "y"), ("x" * 300, EXCHANGE)]
)
def test_exchange_keys_are_for_real_exchanges(
    builder: LeafBuilder, principal: str, exchange: str
) -> None:
    """A key is derived only for a principal and a uuid7."""
    with pytest.raises(Refused):
        builder.exchange_keys(principal, exchange)


def test_exchange_keys_differ_by_exchange_and_use(builder: LeafBuilder) -> None:
    """Content and commitments of every exchange have their own keys."""
    keys = {key for _ in range(3) for key in builder.exchange_keys(STAFF, uuid7())}
    assert len(keys) == 6
