"""What is given out opens what was asked for, and nothing else."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sekisho_audit.disclosure import (
    ERASED,
    MISSING,
    NOT_KEPT,
    OPEN,
    Item,
    disclosed,
    items_of,
    opened,
    owners_of,
)
from sekisho_audit.ledger import Ledger
from sekisho_audit.places import events_of, payload_of
from support.ledgers import CANARY, ORIGIN, STAFF, open_ledger, run_exchange, run_held_exchange


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = open_ledger(tmp_path)
    made.open_session("s-1", 1)
    yield made
    made.close()


def items(ledger: Ledger, exchange: str | None) -> list[Item]:
    return items_of(events_of(ledger.directory, [str(exchange)], ledger.size))


def test_texts_are_opened_in_order(ledger: Ledger) -> None:
    """Prompt and answer come; what is only committed to is told as not kept."""
    sent = run_exchange(ledger, "s-1")
    found = list(opened(ledger.directory, items(ledger, sent.exchange), ledger.secret_of))
    told = [(one.item.entry["name"], one.state, one.content) for one in found]
    assert told == [
        ("prompt", OPEN, CANARY),
        ("outgoing", NOT_KEPT, b""),
        ("answer", OPEN, CANARY),
    ]


def test_what_was_erased_is_told(ledger: Ledger) -> None:
    """Without the key nothing is opened and no key is given, however it is asked."""
    sent = run_exchange(ledger, "s-1")
    asked = items(ledger, sent.exchange)
    states = {one.state for one in opened(ledger.directory, asked, lambda *_: None)}
    assert states == {ERASED, NOT_KEPT}
    file = disclosed(ORIGIN, ledger.directory, asked, lambda *_: None)
    assert (file["keys"], file["payloads"]) == ([], [])


def test_a_key_that_is_another_s_opens_nothing(ledger: Ledger) -> None:
    sent = run_exchange(ledger, "s-1")
    asked = items(ledger, sent.exchange)
    states = {one.state for one in opened(ledger.directory, asked, lambda *_: bytes(32))}
    assert states == {MISSING, NOT_KEPT}


def test_a_third_party_opens_and_checks_with_the_file(ledger: Ledger) -> None:
    """With nothing of ours: AES-GCM as the specification has it, and the commitments."""
    run_held_exchange(ledger, "s-1")
    sent = run_exchange(ledger, "s-1", b"another body")
    asked = items(ledger, sent.exchange)
    file = disclosed(ORIGIN, ledger.directory, asked, ledger.secret_of)
    assert (file["format"], file["ledger"]) == ("sekisho-disclosure/v1", ORIGIN)
    [exchange] = file["keys"]
    assert exchange["exchange"] == sent.exchange
    commits = {(item.leaf["id"], item.entry["name"]): item.entry["commit"] for item in asked}
    opened_here = 0
    for one in file["payloads"]:
        assert one["commit"] == exchange["commit"]
        made = hmac.digest(bytes.fromhex(one["commit"]), b"another body", "sha256").hex()
        assert made == commits[one["event"], one["name"]]
        if one["key"] is not None:
            assert _decrypted(ledger.directory, one) == b"another body"
            opened_here += 1
    assert opened_here == 2


def test_keys_of_one_exchange_open_nothing_else(ledger: Ledger) -> None:
    """Not another exchange of the same person and month, and not another payload of this one."""
    mine, other = run_exchange(ledger, "s-1"), run_exchange(ledger, "s-1")
    secret_of = ledger.secret_of
    file = disclosed(ORIGIN, ledger.directory, items(ledger, mine.exchange), secret_of)
    theirs = disclosed(ORIGIN, ledger.directory, items(ledger, other.exchange), secret_of)
    keys = [one["key"] for one in file["payloads"] if one["key"]]
    assert len(set(keys)) == 2
    foreign = [one for one in theirs["payloads"] if one["key"]]
    for key in [*keys, file["keys"][0]["content"], file["keys"][0]["commit"]]:
        for one in foreign:
            with pytest.raises(InvalidTag):
                _decrypted(ledger.directory, {**one, "key": key})
    with pytest.raises(InvalidTag):
        _decrypted(ledger.directory, {**file["payloads"][0], "key": keys[1]})
    # The key of the month itself is in no file.
    month = secret_of(str(ledger.pseudonym_of(STAFF)), _month(ledger, mine.exchange))
    assert month is not None
    assert month.hex() not in str(file)


def test_whose_content_it_is_is_told_once(ledger: Ledger) -> None:
    sent = run_exchange(ledger, "s-1")
    found = owners_of(events_of(ledger.directory, [str(sent.exchange)], ledger.size))
    assert found == [(sent.exchange, ledger.pseudonym_of(STAFF))]


def _month(ledger: Ledger, exchange: str | None) -> str:
    return str(items(ledger, exchange)[0].entry["kref"]).split("/")[1]


def _decrypted(ledger: Path, one: dict[str, Any]) -> bytes:
    stored = payload_of(ledger, one["ct"], 0)
    place = f"{one['event']}|{one['name']}".encode()
    return AESGCM(bytes.fromhex(one["key"])).decrypt(stored[:12], stored[16:], place)
