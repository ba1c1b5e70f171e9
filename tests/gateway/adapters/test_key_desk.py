from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters import key_desk
from sekisho.adapters.key_desk import KeyDesk, PepperUnusable, parse_roles, read_pepper
from sekisho.adapters.ledger_desk import Append, evidence
from sekisho.adapters.registry_keys import KeyTerms
from sekisho.adapters.sql_directory import SqlDirectory
from sekisho.adapters.sql_registry import now_us
from sekisho.config import Settings
from sekisho.errors import BadRequest, Conflict, Forbidden, LedgerUnavailable, NotFound
from sekisho_audit.events import Event


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate(
        {
            "data_dir": tmp_path / "data",
            "audit": {"keys_dir": tmp_path / "keys"},
            "backends": [{"id": "local", "base_url": "http://127.0.0.1:9/v1", "models": ["*"]}],
        }
    )


@pytest.fixture
def desk(settings: Settings) -> KeyDesk:
    return KeyDesk(settings)


def events(settings: Settings) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "sekisho_audit.cli", "show", str(settings.ledger_dir), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    leaves = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return [leaf for leaf in leaves if not leaf["type"].startswith("audit.")]


async def test_a_made_key_opens_the_door(desk: KeyDesk, settings: Settings) -> None:
    """What `create` prints is what the directory of a worker recognises."""
    plaintext = desk.create("staff-7", groups=["sales"], roles=["employee"])
    directory = SqlDirectory(settings.registry_path, read_pepper(settings.audit.keys_dir))
    await directory.refresh()
    found = directory.by_key(plaintext)
    assert (found.id, found.groups) == ("staff-7", frozenset({"sales"}))


def test_each_change_is_an_event_without_secrets(desk: KeyDesk, settings: Settings) -> None:
    """Making, granting, shutting out and revoking are recorded; ids and labels are not in clear."""
    plaintext = desk.create("staff-7", roles=["employee"], terms=KeyTerms(label="label-canary"))
    desk.grant("staff-7", roles=["reviewer"])
    desk.grant("staff-7", disabled=True)
    key = plaintext.split("-")[2]
    desk.revoke(key)
    found = events(settings)
    assert [leaf["type"] for leaf in found] == [
        *("principal.changed", "key.created", "principal.changed"),
        *("principal.changed", "key.revoked"),
    ]
    assert found[1]["data"]["key"] == found[4]["data"]["key"] == key
    assert found[2]["data"]["roles"] == ["reviewer"]
    stored = b"".join(
        path.read_bytes() for path in settings.ledger_dir.rglob("*") if path.is_file()
    )
    for secret in (plaintext.split("-")[3], "staff-7", "label-canary", "account:"):
        assert secret.encode() not in stored


def test_given_roles_and_groups_are_added(desk: KeyDesk) -> None:
    """A second key takes nothing away; a key without any leaves them as they are."""
    desk.create("staff-7", groups=["sales"], roles=["employee"])
    desk.create("staff-7", groups=["legal"], roles=["reviewer"])
    desk.create("staff-7")
    (row,) = desk.principals()
    assert (row.groups, row.roles) == (("legal", "sales"), ("employee", "reviewer"))
    assert len(desk.keys("staff-7")) == 3


def test_roles_cannot_be_collected_key_by_key(desk: KeyDesk) -> None:
    """Adding the second of two roles that check one another is refused as a whole."""
    desk.create("staff-7", roles=["operator"])
    with pytest.raises(Forbidden):
        desk.create("staff-7", roles=["auditor"])
    assert len(desk.keys()) == 1


def test_a_service_account_keeps_its_owner(desk: KeyDesk) -> None:
    """Its keys can be made without naming the owner again, but not for another owner."""
    desk.create("staff-7")
    desk.create("staff-8")
    desk.create("bot", owner="staff-7")
    desk.create("bot")
    with pytest.raises(Conflict):
        desk.create("bot", owner="staff-8")
    with pytest.raises(Conflict):
        desk.create("staff-8", owner="staff-7")


@contextmanager
def _refusing(_: Settings) -> Iterator[Append]:
    def append(_: Sequence[Event]) -> None:
        raise LedgerUnavailable("no")

    yield append


@contextmanager
def _losing_the_reply(settings: Settings) -> Iterator[Append]:
    with evidence(settings) as real:

        def append(batch: Sequence[Event]) -> None:
            real(batch)
            raise LedgerUnavailable("the reply was lost")

        yield append


@pytest.mark.parametrize("fault", [_refusing, _losing_the_reply])
def test_without_evidence_nothing_changes(
    desk: KeyDesk, monkeypatch: pytest.MonkeyPatch, fault: Any
) -> None:
    """Refused before or lost after: the key does not work, and the command can be repeated."""
    kept = desk.create("staff-7")
    monkeypatch.setattr(key_desk, "evidence", fault)
    with pytest.raises(LedgerUnavailable):
        desk.create("staff-8")
    with pytest.raises(LedgerUnavailable):
        desk.grant("staff-7", roles=["operator"])
    with pytest.raises(LedgerUnavailable):
        desk.revoke(kept.split("-")[2])
    monkeypatch.undo()
    (row,) = desk.principals()
    assert row.roles == ()
    (key,) = desk.keys()
    assert key.revoked_us is None


def test_what_is_not_there_is_said(desk: KeyDesk) -> None:
    """Neither granting nor revoking makes anything up."""
    with pytest.raises(NotFound):
        desk.grant("staff-7", roles=["employee"])
    with pytest.raises(NotFound):
        desk.revoke("abcdefgh")


def test_an_unknown_role_is_told_with_those_there_are() -> None:
    """Roles are six words; a seventh is a slip."""
    assert {role.value for role in parse_roles(["auditor", "employee"])} == {"auditor", "employee"}
    with pytest.raises(BadRequest, match="policy_activator"):
        parse_roles(["admin"])


def test_a_pepper_that_is_gone_or_short_is_told(tmp_path: Path) -> None:
    """A cut file must not turn keyed hashes into guessable ones."""
    with pytest.raises(PepperUnusable, match="No such file"):
        read_pepper(tmp_path)
    (tmp_path / "pepper").write_bytes(b"x" * 31)
    with pytest.raises(PepperUnusable, match="shorter"):
        read_pepper(tmp_path)


def test_what_has_ended_is_not_recorded_again(desk: KeyDesk, settings: Settings) -> None:
    """A second revocation, take-back or leaving is no event: nothing happened."""
    key = desk.create("staff-7", roles=["reviewer"]).split("-")[2]
    desk.create("staff-8")
    now = now_us()
    row = desk.lend("staff-7", "staff-8", "reviewer", from_us=now, until_us=now + 3_600_000_000)
    first = (*desk.revoke(key), desk.end_lending(row.id), desk.leave("staff-8"))
    before = events(settings)
    again = (*desk.revoke(key), desk.end_lending(row.id), desk.leave("staff-8"))
    assert (first[1], again[1]) == (True, False)
    assert [one for one in first if one is not True] == [one for one in again if one is not False]
    assert events(settings) == before


def test_links_delegations_and_rotation_are_events(desk: KeyDesk, settings: Settings) -> None:
    """Whom an identity means, who stands in for whom and which key takes over: all on record,
    with subjects sealed and persons as pseudonyms.
    """
    first = desk.create("staff-7", roles=["reviewer"]).split("-")[2]
    desk.create("staff-8")
    second = desk.rotate(first, 60_000_000).split("-")[2]
    desk.link("staff-7", "corp", "subject-canary")
    desk.unlink("corp", "subject-canary")
    hour_us = 3_600_000_000
    now = now_us()
    row = desk.lend("staff-7", "staff-8", "reviewer", from_us=now, until_us=now + hour_us)
    desk.end_lending(row.id)
    desk.leave("staff-8")
    found = [(leaf["type"], leaf["data"]) for leaf in events(settings)]
    kinds = [kind for kind, _ in found[4:]]
    assert kinds == [
        *("key.created", "key.revoked", "principal.linked", "principal.linked"),
        *("delegation.changed", "delegation.changed", "principal.changed"),
    ]
    assert found[4][1]["replaces"] == found[5][1]["key"] == first
    assert found[4][1]["key"] == second
    assert [data["linked"] for _, data in found[6:8]] == [True, False]
    assert [data["ended"] for _, data in found[8:10]] == [False, True]
    assert found[10][1]["change"] == "left"
    stored = b"".join(
        path.read_bytes() for path in settings.ledger_dir.rglob("*") if path.is_file()
    )
    assert not any(word in stored for word in (b"subject-canary", b"staff-8"))


def test_handing_an_account_over_ends_its_keys_on_record(desk: KeyDesk, settings: Settings) -> None:
    """Each key's end is an event; handing it to the owner it has changes nothing."""
    desk.create("staff-7")
    desk.create("staff-8")
    key = desk.create("svc-batch", owner="staff-7").split("-")[2]
    desk.grant("svc-batch", owner="staff-7")
    desk.grant("svc-batch", owner="staff-8")
    ended = [leaf["data"] for leaf in events(settings) if leaf["type"] == "key.revoked"]
    assert ended == [{"key": key, "cause": "handed_over"}]
