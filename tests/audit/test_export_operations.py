"""Nothing is exported before it is on record, to nobody without the duty, in bounded pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit import export_operations
from sekisho_audit.canon import decode
from sekisho_audit.checkpoint import (
    BadNote,
    VerifierKey,
    open_note,
    open_text,
    read_unverified,
)
from sekisho_audit.export_operations import _fitting
from sekisho_audit.exports.bundle_form import manifest_bytes
from sekisho_audit.officer_client import OfficerClient, OfficerError
from sekisho_audit.officers import DUTIES, set_two
from sekisho_audit.published import Excerpt
from sekisho_audit.tree import leaf_hash
from support.bundles import bodies
from support.ledgers import Auditd, open_ledger, run_exchange
from support.officers import OFFICER, SECOND, appoint, ask, ask_as, socket_of

BEGIN = {"op": "export", "query": "", "purpose": "audit", "format": "jsonl"}


@pytest.fixture
async def auditd(tmp_path: Path) -> AsyncIterator[Auditd]:
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    for _ in range(3):
        run_exchange(ledger, "s-1")
    ledger.close()
    made = Auditd(tmp_path)
    await made.start()
    yield made
    await made.end()


def events(auditd: Auditd) -> list[Any]:
    return [decode(one.body) for one in bodies(auditd.ledger)]


def acts(auditd: Auditd) -> list[Any]:
    return [leaf for leaf in events(auditd) if leaf["type"] == "audit.export"]


async def test_nothing_leaves_that_is_not_on_record(auditd: Auditd, tmp_path: Path) -> None:
    secret = appoint(tmp_path)
    for question in (
        {"op": "export_page", "first": 0},
        {"op": "export_sealed", "digests": ["ab" * 32]},
        {"op": "export_since", "size": 1},
        {"op": "export_sign"},
    ):
        [answer] = await ask(auditd, secret, question)
        assert isinstance(answer, OfficerError)
        assert answer.code == "no_export"
    assert not acts(auditd)


async def test_the_duty_is_needed_at_every_step(auditd: Auditd, tmp_path: Path) -> None:
    secret = appoint(tmp_path, duties=[duty for duty in DUTIES if duty != "export"])
    for op in ("export", "export_page", "export_sealed", "export_sign", "export_since"):
        [answer] = await ask(auditd, secret, {**BEGIN, "op": op, "first": 0})
        assert answer.code == "no_duty", op
    set_two(tmp_path / "keys", ("export",))
    secret = appoint(tmp_path)
    [answer] = await ask(auditd, secret, BEGIN)
    assert answer.code == "two_officers"
    both = {OFFICER: secret, SECOND: appoint(tmp_path, SECOND)}
    [(told, _)] = await ask_as(auditd, both, BEGIN)
    [act] = acts(auditd)
    assert act["n"] == told["index"]
    assert act["data"]["second"] != act["actor"]


async def test_a_page_holds_events_with_paths_and_ends_with_the_export(
    auditd: Auditd, tmp_path: Path
) -> None:
    secret = appoint(tmp_path)
    [(told, _), (page, _), (last, _), (beyond, _)] = await ask(
        auditd, secret, BEGIN,
        {"op": "export_page", "first": 0},
        {"op": "export_page", "first": 5},
        {"op": "export_page", "first": 10_000},
    )  # fmt: skip
    assert page["indices"] == [*range(told["events"]), told["index"]]
    assert last["indices"] == page["indices"][5:]
    assert beyond["indices"] == []
    assert len(page["lengths"]) == 2 * len(page["indices"])


@pytest.mark.parametrize(
    "question",
    [
        {**BEGIN, "format": "xls"},
        {**BEGIN, "purpose": " "},
        {**BEGIN, "query": "x:"},
        {**BEGIN, "ticket": "x" * 3_000},
    ],
    ids=["format", "purpose", "query", "ticket"],
)
async def test_what_cannot_be_is_not_recorded(
    question: dict[str, Any], auditd: Auditd, tmp_path: Path
) -> None:
    [answer] = await ask(auditd, appoint(tmp_path), question)
    assert isinstance(answer, OfficerError)
    assert not acts(auditd)


BUNDLE = {**BEGIN, "format": "bundle", "ticket": "case 4"}
CHANGES: dict[str, Any] = {
    "format": "sekisho-evidence/v2",
    "ledger": "ledger.example/else",
    "query": "effect:deny",
    "purpose": "another",
    "ticket": "case 5",
    "asked_by": SECOND,
    "checkpoint": {"size": 1, "root": "00" * 32},
}


def manifest_for(told: dict[str, Any], origin: str, leaf: bytes) -> dict[str, Any]:
    """What an honest client writes."""
    signed = read_unverified(told["note"].encode())
    data = decode(leaf)["data"]
    return {
        "format": "sekisho-evidence/v1",
        "ledger": origin,
        **{name: BUNDLE[name] for name in ("query", "purpose", "ticket")},
        "asked_by": OFFICER,
        "at_us": decode(leaf)["ts"],
        "time_zone": "UTC",
        "export": {
            "index": told["index"],
            "leaf_hash": leaf_hash(leaf).hex(),
            "commit_key": told["commit_key"],
        },
        "selection": {
            **{name: data[name] for name in ("found", "events", "size", "root")},
            **{name: told[name] for name in ("erased", "forgotten")},
        },
        "checkpoint": {"size": signed.size, "root": signed.root.hex()},
        "files": {},
    }


async def test_only_what_was_recorded_is_signed(auditd: Auditd, tmp_path: Path) -> None:
    """Counts, root, words, and how much could not be searched: that stands in no event."""
    key = VerifierKey.parse((auditd.ledger / "vkey").read_text().strip())
    secret = appoint(tmp_path)

    def check() -> None:
        with OfficerClient(socket_of(auditd)) as client:
            client.present(OFFICER, secret)
            told = dict(client.ask(BUNDLE)[0])
            leaf = list(bodies(auditd.ledger))[told["index"]].body
            good = manifest_for(told, key.name, leaf)

            def sign(manifest: Any) -> bytes:
                raw = manifest if isinstance(manifest, bytes) else manifest_bytes(manifest)
                return bytes(client.ask({"op": "export_sign"}, [raw])[0]["note"].encode())

            note = sign(good)
            assert open_text(note, key).startswith("sekisho-evidence/v1\nexport ")
            with pytest.raises(BadNote):
                open_note(note, key)
            odd = [{**good, name: value} for name, value in CHANGES.items()]
            for part in ("selection", "export"):
                for name, value in good[part].items():
                    other = value + 1 if isinstance(value, int) else "00" * 32
                    odd.append({**good, part: {**good[part], name: other}})
                odd.append({**good, part: {**good[part], "more": 1}})
            odd += [{**good, "more": 1}, {n: v for n, v in good.items() if n != "ticket"}]
            odd += [{n: v for n, v in good.items() if n != "files"}, [good]]
            raw = manifest_bytes(good)
            odd += [
                raw + b" ",
                b"",
                b"[" * 100_000,
                raw.replace(b'"files"', b'"files": {}, "files"'),
            ]
            odd.append(f"{key.name}\n99\n{'A' * 43}=\n".encode())
            for manifest in odd:
                with pytest.raises(OfficerError) as caught:
                    sign(manifest)
                assert caught.value.code == "bad_request", manifest
            with pytest.raises(OfficerError, match="one blob"):
                client.ask({"op": "export_sign"})
            assert sign(good) == note

    await asyncio.to_thread(check)


async def test_a_table_has_no_manifest(auditd: Auditd, tmp_path: Path) -> None:
    secret = appoint(tmp_path)

    def check() -> None:
        with OfficerClient(socket_of(auditd)) as client:
            client.present(OFFICER, secret)
            client.ask(BEGIN)
            with pytest.raises(OfficerError, match="only a bundle"):
                client.ask({"op": "export_sign"}, [b"{}"])

    await asyncio.to_thread(check)


async def test_another_connection_has_no_part_in_it(auditd: Auditd, tmp_path: Path) -> None:
    secret = appoint(tmp_path)
    await ask(auditd, secret, BEGIN)
    [answer] = await ask(auditd, secret, {"op": "export_page", "first": 0})
    assert answer.code == "no_export"


def test_a_page_is_as_large_as_an_answer_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_operations, "_PAGE_BYTES", 10)
    every = [Excerpt(index, b"x" * 6, ()) for index in range(3)]
    assert _fitting(every) == every[:1]
    assert _fitting([Excerpt(0, b"x" * 60, ()), *every]) == [Excerpt(0, b"x" * 60, ())]
    assert _fitting([]) == []


@pytest.mark.parametrize(
    "query", ["type:request.received", '"Blue Heron"', "-type:policy.decision"]
)
async def test_what_is_exported_is_what_search_counts(
    query: str, auditd: Auditd, tmp_path: Path
) -> None:
    """The same number, for fields, words and what is not there, at the same size."""
    secret = appoint(tmp_path)
    [(seen, _), (told, _)] = await ask(
        auditd, secret, {"op": "facets", "query": query}, {**BEGIN, "query": query}
    )
    later = [leaf for leaf in events(auditd) if seen["indexed"] <= leaf["n"] < told["size"]]
    assert {leaf["type"] for leaf in later} <= {"audit.search", "officer.changed"}
    more = len(later) if query.startswith("-") else 0
    assert told["found"] == seen["total"] + more > 0
    [act] = acts(auditd)
    assert (act["data"]["found"], act["data"]["events"]) == (told["found"], told["events"])
