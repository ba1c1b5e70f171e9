"""A worker that is told to stop tells the ledger its last outcomes first, and its clients."""

from __future__ import annotations

import os
import signal
import threading
import time

import httpx
import pytest

from support.installation import events_of

from .conftest import Site

pytestmark = pytest.mark.long


def test_stopping_a_worker_under_load_leaves_known_outcomes(site: Site) -> None:
    """SIGTERM with requests under way: cancelled with the cause shutdown, never unknown."""
    site.backend.slow_s = 30
    answers: list[httpx.Response] = []
    asking = [
        threading.Thread(target=lambda: answers.append(site.ask("slow", timeout_s=25)))
        for _ in range(3)
    ]
    for thread in asking:
        thread.start()
    until = time.monotonic() + 10
    while len(site.backend.seen) < len(asking):
        assert time.monotonic() < until, "not all requests reached the backend"
        time.sleep(0.05)
    before = len(site.installation.leaves())

    os.kill(site.installation.pids("sekisho.worker")[0], signal.SIGTERM)
    for thread in asking:
        thread.join(30)
    site.installation.wait_ready()

    outcomes = events_of(site.installation.leaves()[before:], "backend.outcome")
    assert [("cancelled", "shutdown")] * 3 == [
        (leaf["data"]["status"], leaf["data"]["cause"]) for leaf in outcomes
    ]
    assert [(503, "gateway_stopping")] * 3 == [
        (answer.status_code, answer.json()["error"]["code"]) for answer in answers
    ]


def test_a_stop_with_an_approved_hold_on_its_way_is_clean(site: Site) -> None:
    """What was sent for nobody waiting ends with an outcome too, and the stop is not a kill."""
    site.backend.slow_s = 30
    approval = site.ask("slow", text="our customer list, stopped").json()["error"]["approval"]
    headers = {"authorization": f"Bearer {site.reviewer}"}
    url = f"{site.installation.url}/v1/approvals/{approval['id']}"
    binding = httpx.get(url, headers=headers, trust_env=False).json()["binding"]
    review = {"decision": "approve", "binding": binding, "reason": "fine"}
    httpx.post(f"{url}/reviews", headers=headers, json=review, trust_env=False)
    until = time.monotonic() + 10
    while not site.backend.seen:
        assert time.monotonic() < until, "the approved hold did not go out"
        time.sleep(0.05)

    os.kill(site.installation.pids("sekisho.worker")[0], signal.SIGTERM)
    until = time.monotonic() + 20
    while not site.backend.seen[0].cancelled:
        assert time.monotonic() < until, "the backend was not told"
        time.sleep(0.05)
    site.installation.wait_ready()

    outcome = events_of(site.installation.leaves(), "backend.outcome")[-1]
    assert ("cancelled", "shutdown") == (outcome["data"]["status"], outcome["data"]["cause"])
    assert "was killed" not in site.installation.log.read_text()
