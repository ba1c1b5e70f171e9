"""Disclosed content is what was recorded, or it is not said to be."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sekisho.model.ids import uuid7
from sekisho_audit.disclosed import (
    FORMAT,
    BadDisclosure,
    Disclosure,
    NotOpened,
    Opening,
    commitment,
    open_stored,
)
from sekisho_audit.events import Event, Payload
from sekisho_audit.report import Report, Verdict
from sekisho_audit.seal import seal
from sekisho_audit.verify import verify
from support.disclosures import disclose, expand, leaves_of, raw
from support.ledgers import CANARY, STAFF, open_ledger, received, run_held_exchange

COPIED = b"the number is [PHONE]"
AS_LONG = b"x" * len(CANARY)


@dataclass
class Site:
    """A ledger, and the disclosure of all that is in it."""

    home: Path
    ledger: Path
    disclosure: dict[str, Any]

    def named(self, name: str, type_: str | None = None) -> dict[str, Any]:
        """The disclosed keys of one payload."""
        indices = {leaf["n"] for leaf in leaves_of(self.ledger) if type_ in {None, leaf["type"]}}
        return next(
            one
            for one in self.disclosure["payloads"]
            if one["name"] == name and one["index"] in indices
        )

    def check(self, *, texts: bool = False) -> Report:
        disclosure = Disclosure.parse(raw(self.disclosure))
        return verify(self.ledger, opening=Opening(disclosure, texts=texts))

    def states(self) -> dict[tuple[int, str], str]:
        return {(told.index, told.name): told.state for told in self.check().disclosed}


def answer(stored: bytes | None) -> Event:
    """An event without an exchange, with content of a principal."""
    return Event(
        uuid7(),
        "session.signed_in",
        None,
        STAFF,
        {"issuer": "i"},
        payloads=(Payload("source", CANARY, stored),),
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Site:
    home = tmp_path_factory.mktemp("d")
    opened = open_ledger(home)
    opened.open_session("s-1", 1)
    run_held_exchange(opened, "s-1")
    opened.append_batch([received(uuid7()), answer(COPIED), answer(AS_LONG), answer(None)])
    opened.close()
    return Site(home, opened.directory, disclose(home, leaves_of(opened.directory)))


@pytest.fixture
def site(made: Site) -> Site:
    return Site(made.home, made.ledger, deepcopy(made.disclosure))


def test_what_was_recorded_is_proved(site: Site) -> None:
    """Exact bytes fit their commitment; copies are told to be copies; nothing else is said."""
    leaves = leaves_of(site.ledger)
    states = site.states()
    assert len(states) == sum(len(leaf["pl"]) for leaf in leaves)
    by_name: dict[str, set[str]] = {}
    for (_, name), state in states.items():
        by_name.setdefault(name, set()).add(state)
    assert by_name == {
        "prompt": {"whole"},
        "hold": {"whole"},
        "outgoing": {"not_kept"},
        "reason": {"whole"},
        "answer": {"whole"},
        "source": {"copy", "other", "not_kept"},
    }
    report = site.check()
    assert (report.verdict, report.faults) == (Verdict.CANNOT_TELL, [])
    assert [doubt.index for doubt in report.doubts] == [
        index for (index, _), state in states.items() if state == "other"
    ]
    assert any("1 of the disclosed texts are copies" in note for note in report.notes)


def test_disclosure_without_doubtful_texts_leaves_the_ledger_sound(site: Site) -> None:
    """One exchange, or nothing at all."""
    exchange = site.disclosure["keys"][0]["exchange"]
    leaves = [leaf for leaf in leaves_of(site.ledger) if leaf["exchange"] == exchange]
    site.disclosure = disclose(site.home, leaves)
    assert (site.check().verdict, len(site.check().disclosed)) == (Verdict.SOUND, 6)
    site.disclosure |= {"keys": [], "payloads": []}
    assert (site.check().verdict, site.check().disclosed) == (Verdict.SOUND, [])
    del site.disclosure["payloads"]
    assert site.check().verdict is Verdict.SOUND


def test_content_is_kept_only_to_be_shown(site: Site) -> None:
    """Bytes that are no UTF-8 are spelled out."""
    assert {told.text for told in site.check().disclosed} == {None}
    texts = {told.name: told.text for told in site.check(texts=True).disclosed}
    assert texts["prompt"] == CANARY.decode()
    assert texts["outgoing"] is None


def test_text_that_is_no_utf8_is_spelled_out() -> None:
    secret, event, name = b"s" * 32, "e-1", "prompt"
    stored = seal(secret, event, name, b"\xff\x00")
    key = expand(secret, f"sekisho-payload-v1|{event}|{name}|", stored[:16])
    entry = {"index": 0, "event": event, "name": name, "ct": "0" * 64, "key": key.hex()}
    file = {
        "format": FORMAT,
        "ledger": "l",
        "keys": [],
        "payloads": [{**entry, "commit": "0" * 64}],
    }
    opening = Opening(Disclosure.parse(raw(file)), texts=True)
    said = {"name": name, "ct": "0" * 64, "len": 2, "commit": commitment(bytes(32), b"\xff\x00")}
    opening.see({"n": 0, "id": event, "pl": [said]})
    opening.stored(bytes(32), stored)
    [told] = opening.told
    assert (told.state, told.text, told.bytes) == ("whole", "\\xff\x00", 2)


# -- keys that do not fit


def swap(site: Site, name: str, member: str) -> None:
    one = site.named(name)
    one[member] = ("1" if one[member][0] == "0" else "0") + one[member][1:]


@pytest.mark.parametrize(
    ("member", "state"), [("key", "closed"), ("commit", "other"), ("ct", "missing")]
)
def test_wrong_key_accuses_nobody_and_proves_nothing(site: Site, member: str, state: str) -> None:
    """The ledger may be right and the file not: exit 2, with the event."""
    swap(site, "prompt", member)
    one = site.named("prompt")
    assert site.states()[one["index"], "prompt"] == state
    report = site.check()
    assert (report.verdict, report.faults) == (Verdict.CANNOT_TELL, [])
    assert one["index"] in {doubt.index for doubt in report.doubts}


@pytest.mark.parametrize(
    ("member", "value"), [("index", 0), ("index", 10**6), ("event", "e-1"), ("name", "answer")]
)
def test_payload_of_another_place_is_not_found(site: Site, member: str, value: Any) -> None:
    """Content belongs to one event and one name."""
    one = site.named("prompt")
    one[member] = value
    assert site.states()[one["index"], one["name"]] == "missing"


def test_disclosure_of_another_ledger_is_doubt(site: Site) -> None:
    site.disclosure["ledger"] = "elsewhere"
    assert any("'elsewhere'" in doubt.what for doubt in site.check().doubts)


def test_content_of_one_event_does_not_open_as_that_of_another(site: Site) -> None:
    """Event and name are bound into the seal, so nothing can be shown in another place."""
    secret = b"s" * 32
    stored = seal(secret, "e-1", "prompt", b"text")
    key = expand(secret, "sekisho-payload-v1|e-1|prompt|", stored[:16])
    assert open_stored(key, "e-1", "prompt", stored) == b"text"
    for event, name in (("e-2", "prompt"), ("e-1", "answer")):
        with pytest.raises(NotOpened):
            open_stored(key, event, name, stored)
    for cut in range(len(stored)):
        with pytest.raises(NotOpened):
            open_stored(key, "e-1", "prompt", stored[:cut])


def test_changed_content_is_found_with_and_without_its_keys(site: Site, tmp_path: Path) -> None:
    """The stored bytes have their hash in the leaf; disclosure adds that nothing was opened."""
    home = shutil.copytree(site.ledger, tmp_path / "copy")
    segment = home / "payloads" / "000000000000.seg"
    changed = bytearray(segment.read_bytes())
    changed[-1] ^= 1
    segment.write_bytes(changed)
    site.ledger = home
    report = site.check()
    assert report.verdict is Verdict.TAMPERED
    assert [told.state for told in report.disclosed].count("missing") == 1


# -- files


Change = Callable[[dict[str, Any]], object]
ODD: dict[str, tuple[Change, str]] = {
    "another form": (lambda d: d.update(format="sekisho-disclosure/v2"), "form"),
    "no form": (lambda d: d.pop("format"), "missing"),
    "no ledger": (lambda d: d.pop("ledger"), "missing"),
    "a ledger that is no text": (lambda d: d.update(ledger=1), "form"),
    "no keys": (lambda d: d.pop("keys"), "missing"),
    "more": (lambda d: d.update(note="x"), "members"),
    "keys that are no list": (lambda d: d.update(keys={}), "lists"),
    "payloads that are no list": (lambda d: d.update(payloads=None), "lists"),
    "an entry that is none": (lambda d: d["keys"].append("x"), "not the members"),
    "an entry with more": (lambda d: d["keys"][0].update(secret="x"), "not the members"),
    "an entry with less": (lambda d: d["payloads"][0].pop("commit"), "not the members"),
    "an exchange that is no text": (lambda d: d["keys"][0].update(exchange=1), "no text"),
    "a short key": (lambda d: d["keys"][0].update(commit="00"), "32 bytes"),
    "a key in capitals": (lambda d: d["keys"][0].update(content="A" * 64), "32 bytes"),
    "a key that is none": (lambda d: d["payloads"][0].update(key=7), "32 bytes"),
    "a commitment key that is missing": (lambda d: d["payloads"][0].update(commit=None), "32"),
    "an index that is true": (lambda d: d["payloads"][0].update(index=True), "no index"),
    "an index below zero": (lambda d: d["payloads"][0].update(index=-1), "no index"),
    "an event that is no text": (lambda d: d["payloads"][0].update(event=None), "no text"),
    "a name that is no text": (lambda d: d["payloads"][0].update(name=[]), "no text"),
    "a key for nothing": (lambda d: d["payloads"][0].update(ct=None), "opens nothing"),
    "a payload twice": (lambda d: d["payloads"].append(d["payloads"][0]), "twice"),
}


@pytest.mark.parametrize("story", ODD)
def test_odd_file_is_refused(site: Site, story: str) -> None:
    """Read strictly, so that two readers cannot understand one file differently."""
    change, said = ODD[story]
    Disclosure.parse(raw(site.disclosure))
    change(site.disclosure)
    with pytest.raises(BadDisclosure, match=said):
        Disclosure.parse(raw(site.disclosure))


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000, b'{"keys": [], "keys": []}']
)
def test_what_is_no_disclosure_is_refused(text: bytes) -> None:
    with pytest.raises(BadDisclosure):
        Disclosure.parse(text)


def test_keys_of_an_exchange_are_read(site: Site) -> None:
    """Whoever has a text can compare it, also if nothing was stored."""
    exchange, said = site.disclosure["keys"][0]["exchange"], site.named("outgoing")
    key = Disclosure.parse(raw(site.disclosure)).commits[exchange]
    leaf = leaves_of(site.ledger)[said["index"]]
    entry = next(item for item in leaf["pl"] if item["name"] == "outgoing")
    assert commitment(key, CANARY) == entry["commit"]
