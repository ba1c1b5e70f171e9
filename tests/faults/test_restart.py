"""A held request outlives every process: stopped, started, approved, sent once, fetched."""

from __future__ import annotations

import shutil
import time
from typing import Any

import httpx
import pytest

from support.installation import events_of

from .conftest import Site

pytestmark = pytest.mark.long


def _get(site: Site, path: str, key: str) -> httpx.Response:
    return httpx.get(
        site.installation.url + path,
        headers={"authorization": f"Bearer {key}"},
        timeout=10,
        trust_env=False,
    )


def _held(site: Site, text: str) -> dict[str, Any]:
    answer = site.ask(text=f"our customer list, {text}")
    return dict(answer.json()["error"]["approval"])


def _approve(site: Site, hold_id: str) -> httpx.Response:
    shown = _get(site, f"/v1/approvals/{hold_id}", site.reviewer).json()
    return httpx.post(
        f"{site.installation.url}/v1/approvals/{hold_id}/reviews",
        headers={"authorization": f"Bearer {site.reviewer}"},
        json={"decision": "approve", "binding": shown["binding"], "reason": "fine"},
        timeout=10,
        trust_env=False,
    )


def _fetched(site: Site, approval: dict[str, Any]) -> httpx.Response:
    until = time.monotonic() + 30
    while True:
        answer = _get(site, f"/v1/chat/completions/{approval['result_id']}", site.employee)
        if answer.status_code != 428 or time.monotonic() > until:
            return answer
        time.sleep(0.2)


@pytest.mark.parametrize("lose_valkey", [False, True], ids=["kept", "valkey's files lost"])
def test_a_hold_survives_a_restart_of_everything(site: Site, lose_valkey: bool) -> None:
    """Also when the live store lost its files: the ledger has what is needed."""
    approval = _held(site, f"restart {lose_valkey}")
    assert site.installation.stop() == 0
    if lose_valkey:
        shutil.rmtree(site.installation.folder / "data" / "valkey")
    site.installation.start()

    assert 200 == _approve(site, approval["id"]).status_code
    answer = _fetched(site, approval)

    assert 200 == answer.status_code
    assert 1 == len(site.backend.seen)


def test_an_approval_whose_worker_dies_is_sent_at_most_once(site: Site) -> None:
    """Killed right after the approval: either it went out once, or it is unknown; never twice."""
    for number in range(3):
        site.backend.seen.clear()
        approval = _held(site, f"killed {number}")
        assert 200 == _approve(site, approval["id"]).status_code
        site.installation.kill("sekisho.worker")
        site.installation.wait_ready()

        answer = _fetched(site, approval)

        assert answer.status_code in (200, 424, 502)
        assert len(site.backend.seen) <= 1
        intents = [
            leaf
            for leaf in events_of(site.installation.leaves(), "backend.intent")
            if leaf["data"].get("hold") == approval["id"]
        ]
        assert len(site.backend.seen) <= len(intents) <= 1
