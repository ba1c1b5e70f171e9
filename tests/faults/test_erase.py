"""Somebody is erased while everything runs: no file has anything of theirs, nor has Valkey's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from sekisho_audit.keyring import Keyring
from sekisho_audit.officer_client import SECRET_VARIABLE
from sekisho_audit.officers import DUTIES, add, set_two

from .conftest import Site

pytestmark = pytest.mark.long

OFFICER = "officer-1"
CANARY = "our customer list, canary-5517 kingfisher"


def _audit(site: Site, secret: str, command: str, *words: str) -> subprocess.CompletedProcess[str]:
    data = site.installation.folder / "data"
    return subprocess.run(
        [
            *(sys.executable, "-m", "sekisho_audit.cli", command, str(data)),
            *("--officer", OFFICER, "--purpose", "they left", "--ticket", "T-1", *words),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, SECRET_VARIABLE: secret},
        timeout=60,
        check=False,
    )


def _keys(folder: Path, principal: str) -> list[bytes]:
    copy = folder / "copy.keys"
    copy.touch(0o600)
    copy.write_bytes((folder / "keys" / "principals.keys").read_bytes())
    ring = Keyring(copy, (folder / "keys" / "kek").read_bytes())
    found = list(ring.keys_of(principal).values())
    ring.close()
    copy.unlink()
    return found


def _holding(folder: Path, text: bytes) -> list[str]:
    return [
        path.relative_to(folder).as_posix()
        for part in ("data", "keys")
        for path in (folder / part).rglob("*")
        if path.is_file() and text in path.read_bytes()
    ]


def _get(site: Site, path: str, key: str) -> httpx.Response:
    return httpx.get(
        site.installation.url + path,
        headers={"authorization": f"Bearer {key}"},
        timeout=20,
        trust_env=False,
    )


def test_nothing_of_somebody_is_left_while_everything_runs(site: Site) -> None:
    """A plain exchange and one that is held; the hold is withdrawn, and cannot be approved."""
    folder = site.installation.folder
    secret = add(folder / "keys", OFFICER, DUTIES)
    set_two(folder / "keys", ())
    assert site.ask(text="canary-5517 plain").status_code == httpx.codes.OK
    hold: dict[str, Any] = site.ask(text=CANARY).json()["error"]["approval"]
    shown = _get(site, f"/v1/approvals/{hold['id']}", site.reviewer).json()
    principal = _get(site, "/v1/me", site.employee).json()["id"]
    keys = _keys(folder, principal)
    assert keys

    done = _audit(site, secret, "erase", "--principal", principal, "--json")

    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert (report["left"], report["keys"]) == ({}, len(keys))
    # The registry still names them, and whoever knows the id: that is told.
    assert any("registry" in path for path in report["named"])
    for needle in (b"canary-5517", b"kingfisher", *keys):
        assert _holding(folder, needle) == []
    answer = httpx.post(
        f"{site.installation.url}/v1/approvals/{hold['id']}/reviews",
        headers={"authorization": f"Bearer {site.reviewer}"},
        json={"decision": "approve", "binding": shown["binding"], "reason": "fine"},
        timeout=20,
        trust_env=False,
    )
    assert answer.status_code >= httpx.codes.BAD_REQUEST
    assert not any(b"kingfisher" in body for body in map(str.encode, map(str, site.backend.seen)))
    assert _get(site, f"/v1/approvals/{hold['id']}", site.reviewer).status_code >= 400
    # Whoever is still let in is somebody new to the ledger.
    assert site.ask(text="again").status_code == httpx.codes.OK
    assert site.installation.stop() == 0
    assert site.installation.verify().returncode == 0
    for needle in (b"canary-5517", b"kingfisher", *keys):
        assert _holding(folder, needle) == []
