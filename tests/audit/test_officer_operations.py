"""Nothing is done on the officers' socket for somebody who was not let in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit.officer_client import OfficerClient, OfficerError
from sekisho_audit.server import OFFICER_OPERATIONS
from sekisho_audit.worker_operations import WORKER_OPERATIONS
from support.ledgers import Auditd
from support.officers import OFFICER, SECOND, appoint, socket_of


@pytest.fixture
async def auditd(tmp_path: Path) -> AsyncIterator[Auditd]:
    made = Auditd(tmp_path)
    await made.start()
    yield made
    await made.end()


def outcome(auditd: Auditd, *questions: dict[str, Any]) -> list[str]:
    """Codes of the answers to questions on one connection."""
    codes = []
    with OfficerClient(socket_of(auditd)) as client:
        for question in questions:
            try:
                client.ask(question)
            except OfficerError as error:
                codes.append(error.code)
            else:
                codes.append("")
    return codes


async def test_nothing_works_before_present(auditd: Auditd) -> None:
    """Every operation there is or will be, whatever it is given."""
    for name in OFFICER_OPERATIONS.keys() - {"present"}:
        [code] = await asyncio.to_thread(outcome, auditd, {"op": name})
        assert code == "no_officer", name


async def test_the_sockets_have_their_own_operations(auditd: Auditd) -> None:
    """An officer appends nothing; a worker, with no secret, decrypts and erases nothing."""
    [code] = await asyncio.to_thread(outcome, auditd, {"op": "append", "events": []})
    assert code == "malformed"
    assert not OFFICER_OPERATIONS.keys() & WORKER_OPERATIONS.keys()


async def test_two_are_present_at_most(auditd: Auditd, tmp_path: Path) -> None:
    """And nobody twice: one person is not two."""
    one, other = appoint(tmp_path), appoint(tmp_path, SECOND)
    third = appoint(tmp_path, "officer-3")
    first = {"op": "present", "name": OFFICER, "secret": one}
    second = {"op": "present", "name": SECOND, "secret": other}
    last = {"op": "present", "name": "officer-3", "secret": third}
    codes = await asyncio.to_thread(outcome, auditd, first, first, second, last)
    assert codes == ["", "bad_request", "", "bad_request"]


async def test_a_second_who_is_nobody_ends_the_connection(auditd: Auditd, tmp_path: Path) -> None:
    """The first officer's presence does not outlive a wrong guess beside it."""
    one = appoint(tmp_path)
    first = {"op": "present", "name": OFFICER, "secret": one}
    second = {"op": "present", "name": SECOND, "secret": one}
    codes = await asyncio.to_thread(outcome, auditd, first, second, first)
    assert codes == ["", "unknown_officer", "no_auditd"]


async def test_the_socket_is_private(auditd: Auditd) -> None:
    assert socket_of(auditd).stat().st_mode & 0o777 == 0o600
