"""Officers for tests: named in a ledger's directory of keys, let in on auditd's socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sekisho.model.ids import uuid7
from sekisho_audit.events import Event
from sekisho_audit.ledger import Ledger
from sekisho_audit.officer_client import OfficerClient, OfficerError
from sekisho_audit.officers import DUTIES, FILE, add, set_two
from support.ledgers import Auditd

OFFICER = "officer-1@ledger.example"
SECOND = "officer-2@ledger.example"


def appoint(home: Path, name: str = OFFICER, duties: Sequence[str] = DUTIES) -> str:
    """Make an officer of the ledger in `home`, who needs no second; returns the secret."""
    keys = home / "keys"
    is_first = not (keys / FILE).exists()
    secret = add(keys, name, tuple(duties))
    if is_first:
        set_two(keys, ())
    return secret


def in_office(ledger: Ledger, *names: str, duties: Sequence[str] = DUTIES) -> None:
    """Have it recorded that these are officers, as auditd does when it reads their file."""
    data = {"credential": "0" * 16, "duties": list(duties), "removed": False}
    ledger.record_all([Event(uuid7(), "officer.changed", None, name, data) for name in names])


def socket_of(auditd: Auditd) -> Path:
    """Where this auditd hears officers."""
    return Path(auditd.socket).with_name("officers.sock")


async def ask(auditd: Auditd, secret: str, *questions: dict[str, Any]) -> list[Any]:
    """Answers to one officer's questions on a connection of their own: a message with its blobs,
    or the OfficerError.
    """
    return await ask_as(auditd, {OFFICER: secret}, *questions)


async def ask_as(
    auditd: Auditd, officers: Mapping[str, str], *questions: dict[str, Any]
) -> list[Any]:
    """As `ask`, for these officers with their secrets."""

    def asked() -> list[Any]:
        answers: list[Any] = []
        with OfficerClient(socket_of(auditd), answer_s=60) as client:
            for name, secret in officers.items():
                client.present(name, secret)
            for question in questions:
                try:
                    answers.append(client.ask(question))
                except OfficerError as error:
                    answers.append(error)
        return answers

    return await asyncio.to_thread(asked)
