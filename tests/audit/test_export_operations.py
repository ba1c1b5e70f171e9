"""Nothing is exported before it is on record, to nobody without the duty, in bounded pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit import export_operations
from sekisho_audit.canon import decode
from sekisho_audit.checkpoint import BadNote, VerifierKey, open_note, open_text
from sekisho_audit.export_operations import _fitting
from sekisho_audit.officer_client import OfficerClient, OfficerError
from sekisho_audit.officers import DUTIES, set_two
from sekisho_audit.published import Excerpt
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


async def test_what_is_signed_is_never_a_checkpoint(auditd: Auditd, tmp_path: Path) -> None:
    """An officer chooses the manifest, not the text."""
    key = VerifierKey.parse((auditd.ledger / "vkey").read_text().strip())
    secret = appoint(tmp_path)
    forged = f"{key.name}\n99\n{'A' * 43}=\n".encode()

    def signed() -> bytes:
        with OfficerClient(socket_of(auditd)) as client:
            client.present(OFFICER, secret)
            client.ask(BEGIN)
            with pytest.raises(OfficerError, match="one blob"):
                client.ask({"op": "export_sign"})
            return bytes(client.ask({"op": "export_sign"}, [forged])[0]["note"].encode())

    note = await asyncio.to_thread(signed)
    assert open_text(note, key).startswith("sekisho-evidence/v1\nexport ")
    with pytest.raises(BadNote):
        open_note(note, key)


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
