"""The published log and receipts over HTTP, with a real auditd: a monitor needs nothing of ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.model import evidence
from sekisho.model.decision import Effect, Obligations
from sekisho.model.principal import Principal, Role, Scope
from sekisho.web.audit import router
from sekisho.web.services import Services
from sekisho_audit.canon import decode
from sekisho_audit.checkpoint import VerifierKey, open_note
from sekisho_audit.cut_files import CutNote
from sekisho_audit.proof import Proof
from sekisho_audit.pruned import read_pruned
from sekisho_audit.report import Verdict
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.tiles import TilePath
from sekisho_audit.tree import leaf_hash, root_of
from sekisho_audit.verify import verify
from support.entrances import StaticDirectory, entrance
from support.holds import CANARY, STAFF, STRANGER, Desk
from support.holds import exchange as asked_now
from support.holds import outgoing as leaving
from support.ledgers import Auditd
from support.old_ledgers import pruned_ledger

AUDITOR = Principal("auditor-1", frozenset({Role.AUDITOR}), frozenset(), credential="k-a")
PEOPLE = {
    "key-staff": STAFF,
    "key-stranger": STRANGER,
    "key-auditor": AUDITOR,
    "key-auditor-asks": replace(AUDITOR, scopes=frozenset({Scope.ASK})),
    "key-staff-asks": replace(STAFF, scopes=frozenset({Scope.ASK})),
}


@dataclass
class Site:
    """The router over a running auditd."""

    auditd: Auditd
    ledger: AuditdLedger
    http: httpx.AsyncClient

    async def get(self, path: str, key: str = "key-auditor") -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return await self.http.get(f"/v1/audit/{path}", headers=headers)

    @property
    def key(self) -> VerifierKey:
        line = (self.auditd.ledger / "vkey").read_text().strip()
        return VerifierKey.parse(line)

    async def ran(self, principal: Principal = STAFF) -> str:
        """A whole exchange; returns its id."""
        asked = asked_now()
        out = leaving(asked, principal, None)  # type: ignore[arg-type]
        allowed = replace(out.decision, effect=Effect.ALLOW, obligations=Obligations())
        decided = evidence.decided(asked.id, principal.id, "request", allowed, b"{}")
        out = replace(out, decision=allowed, before=(out.before[0], decided))
        sent = evidence.intent(out, self.ledger.session, 1, None)
        done = evidence.outcome(out, sent.id, "released", None, {"finish": "stop"})
        await self.ledger.append([*out.before, sent])
        await self.ledger.append([done])
        return asked.id

    async def receipts(self, exchange: str) -> dict[str, Any]:
        """When all of them are under a checkpoint."""
        async with asyncio.timeout(20):
            while True:
                answer = await self.get(f"receipts/{exchange}", "key-staff")
                if answer.status_code == 200:
                    found: dict[str, Any] = answer.json()
                    if found["proofs"] and found["pending"] == 0:
                        return found
                await asyncio.sleep(0.05)


@pytest.fixture
async def site(desk: Desk, tmp_path: Path) -> AsyncIterator[Site]:
    async with serving(desk, tmp_path) as made:
        yield made


@asynccontextmanager
async def serving(desk: Desk, home: Path) -> AsyncIterator[Site]:
    """The router over an auditd with the ledger in `home`, which is sound in the end."""
    auditd = Auditd(home)
    await auditd.start()
    ledger = AuditdLedger(auditd.socket)
    await ledger.start()
    app = FastAPI(redirect_slashes=False)
    app.include_router(router)
    doors = entrance(ledger)
    directory = StaticDirectory(PEOPLE)
    app.state.services = Services(desk.store, ledger, ledger, ledger, directory, doors, desk.limits)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        yield Site(auditd, ledger, http)
    await ledger.close()
    await auditd.end()
    assert verify(auditd.ledger).verdict is Verdict.SOUND


async def checkpoint_of(site: Site, size: int = 1) -> bytes:
    """A checkpoint of at least this size."""
    async with asyncio.timeout(20):
        while True:
            answer = await site.get("log/checkpoint")
            if answer.status_code == 200 and open_note(answer.content, site.key).size >= size:
                return answer.content
            await asyncio.sleep(0.05)


async def test_receipts_of_an_exchange_verify_offline(site: Site, tmp_path: Path) -> None:
    """Request, intent and outcome, each with its bytes, without network or anything of ours."""
    exchange = await site.ran()
    found = await site.receipts(exchange)
    assert [item["event"] for item in found["proofs"]] == ["received", "intent", "outcome"]
    assert found["origin"] == site.key.name
    for item in found["proofs"]:
        proof = Proof.parse(item["proof"])
        proof.check(site.key)
        assert (proof.index, leaf_hash(proof.leaf).hex()) == (item["index"], item["leaf"])
        assert exchange.encode() in proof.leaf
        assert CANARY.encode() not in proof.leaf


@pytest.mark.parametrize("key", ["key-stranger", "key-auditor"])
async def test_receipts_are_ones_own(site: Site, key: str) -> None:
    """Whose they are not is told what one is told of an exchange that never was."""
    exchange = await site.ran()
    await site.receipts(exchange)
    theirs = await site.get(f"receipts/{exchange}", key)
    never = await site.get(f"receipts/{exchange[:-4]}0000", key)
    assert theirs.status_code == never.status_code == 404
    assert theirs.json() == never.json()


async def test_a_monitor_recomputes_the_root_from_entries(site: Site) -> None:
    """Only with the paths of the specification; and tiles say the same."""
    for _ in range(70):
        await site.ran()
    checkpoint = open_note(await checkpoint_of(site, 280), site.key)
    leaves: list[bytes] = []
    for at in range(0, checkpoint.size, 256):
        path = TilePath(None, at // 256, min(256, checkpoint.size - at))
        bundle = (await site.get(f"log/tile/{path}")).content
        while bundle:
            length = int.from_bytes(bundle[:2], "big")
            leaves.append(leaf_hash(bundle[2 : 2 + length]))
            bundle = bundle[2 + length :]
    assert root_of(leaves) == checkpoint.root
    tile = await site.get("log/tile/0/000")
    assert tile.content == b"".join(leaves[:256])
    assert tile.headers["content-type"] == "application/octet-stream"
    assert "immutable" in tile.headers["cache-control"]
    above = await site.get("log/tile/1/000.p/1")
    assert above.content == root_of(leaves[:256])


async def test_who_read_entries_is_in_the_ledger(site: Site) -> None:
    """Before they are given out; hashes alone tell nothing and are not recorded."""
    await checkpoint_of(site, 2)
    assert (await site.get("log/tile/0/000.p/2")).status_code == 200
    assert (await site.get("log/tile/entries/000.p/2")).status_code == 200
    await site.ledger.close()
    await site.auditd.end()
    leaves = [
        decode(frame.body)
        for segment in segments(site.auditd.ledger, EVENTS)
        for frame in frames(segment, EVENTS)
    ]
    [read] = [leaf for leaf in leaves if leaf["type"] == "log.read"]
    assert read["data"] == {"first": 0, "count": 2}
    assert read["actor"].startswith("p-")


async def test_no_entries_without_a_record(site: Site) -> None:
    """If the reading cannot be recorded, nothing is given out."""
    await checkpoint_of(site, 2)
    site.auditd.process.kill()
    await site.auditd.process.wait()
    answer = await site.get("log/tile/entries/000.p/2")
    assert answer.status_code == 503
    await site.auditd.start()


async def test_what_a_pruning_left_is_shown_and_recorded(desk: Desk, tmp_path: Path) -> None:
    """The state byte for byte, the rest of a bundle; the cut alone tells nothing of anybody."""
    ledger = pruned_ledger(tmp_path, 150, 500)
    state = (ledger / "pruned" / "state").read_bytes()
    pruned = read_pruned(ledger)
    assert pruned is not None
    entries = f"log/pruned/entries/{pruned.size}.p/{256 - pruned.size % 256}"
    async with serving(desk, tmp_path) as site:
        await checkpoint_of(site)
        cut = await site.get("log/pruned/cut")
        assert cut.headers["cache-control"] == "private, no-cache"
        note = CutNote.parse(cut.content)
        pieces = [await site.get(f"log/pruned/{piece}") for piece, _ in note.pieces()]
        assert b"".join(piece.content for piece in pieces) == state
        assert "immutable" in pieces[0].headers["cache-control"]
        assert (await site.get(entries)).status_code == 200
        for path in ("cut", f"state/{note.state}/000", entries.removeprefix("log/pruned/")):
            assert (await site.get(f"log/pruned/{path}", "key-staff")).status_code == 403
        for path in ("", "state", f"state/{note.state}/001", "entries/1.p/1", "..%2fvkey", "%00"):
            assert (await site.get(f"log/pruned/{path}")).status_code == 404, path
    leaves = [
        decode(frame.body)
        for segment in segments(ledger, EVENTS)
        for frame in frames(segment, EVENTS)
    ]
    said = [leaf["data"] for leaf in leaves if leaf["type"] == "log.read"]
    assert said == [
        {"first": 0, "count": 0, "state": note.state},
        {"first": pruned.size, "count": 256 - pruned.size % 256},
    ]


@pytest.mark.parametrize(
    ("path", "key", "status", "code"),
    [
        ("log/checkpoint", "", 401, None),
        ("log/checkpoint", "key-staff", 403, "role_missing"),
        ("log/tile/0/000", "key-staff", 403, "role_missing"),
        ("log/tile/entries/000", "key-staff", 403, "role_missing"),
        ("log/checkpoint", "key-auditor-asks", 403, "scope_missing"),
        ("receipts/x", "", 401, None),
        ("receipts/x", "key-staff-asks", 403, "scope_missing"),
        ("receipts/x", "key-staff", 404, "not_found"),
        ("log/tile/0/001", "key-auditor", 404, "not_found"),
        ("log/tile/9/000", "key-auditor", 404, "not_found"),
        ("log/tile/0/x000/000", "key-auditor", 404, "not_found"),
        ("log/tile/entries/999", "key-auditor", 404, "not_found"),
        ("log/tile/..%2f..%2fvkey", "key-auditor", 404, "not_found"),
        ("log/tile/%00", "key-auditor", 404, "not_found"),
        ("log/pruned/cut", "", 401, None),
        ("log/pruned/cut", "key-auditor", 404, "not_found"),
    ],
)
async def test_who_may_not_and_what_is_not_there(
    site: Site, path: str, key: str, status: int, code: str | None
) -> None:
    await checkpoint_of(site)
    answer = await site.get(path, key)
    assert answer.status_code == status, answer.text
    if code is not None:
        assert answer.json()["error"]["code"] == code


async def test_a_receipt_asked_for_too_early_says_so(site: Site) -> None:
    """An event that is not signed yet is pending, not an error."""
    exchange = await site.ran()
    seen: set[int] = set()
    async with asyncio.timeout(20):
        while 0 not in seen:
            answer = await site.get(f"receipts/{exchange}", "key-staff")
            if answer.status_code == 200:
                found = answer.json()
                seen.add(found["pending"])
                assert found["pending"] + len(found["proofs"]) <= 3
            else:
                assert answer.status_code in {404, 503}  # the index, or the tiles, are behind
            await asyncio.sleep(0.01)
