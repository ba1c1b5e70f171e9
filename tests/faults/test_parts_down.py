"""A part is gone: a clear 503 with its own code, in time, nothing let through; then it recovers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import psutil

from support.installation import events_of

from .conftest import Site

HELD = "our customer list"
SOON_S = 2.0
RECOVERED_S = 30.0


@contextmanager
def _stopped(site: Site, part: str) -> Iterator[None]:
    """The part hangs: it exists, holds its sockets, and does nothing."""
    pid = site.installation.pids(part)[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _refused(answer: httpx.Response, *codes: str) -> None:
    assert 503 == answer.status_code
    assert answer.json()["error"]["code"] in codes
    assert answer.json()["error"]["message"].endswith(".")
    assert answer.headers["retry-after"]


def _until(works: Callable[[], bool]) -> None:
    until = time.monotonic() + RECOVERED_S
    while not works():
        assert time.monotonic() < until, "did not recover by itself"
        time.sleep(0.2)


def test_auditd_hangs(site: Site) -> None:
    """No evidence, no exchange: refused at the append's deadline, recovered with auditd."""
    with _stopped(site, "sekisho_audit.auditd"):
        _refused(site.ask(timeout_s=SOON_S + 2), "audit_unavailable")
        assert [] == site.backend.seen

    _until(lambda: site.ask().status_code == 200)


def test_auditd_dies(site: Site) -> None:
    """The supervisor starts it again; meanwhile nothing passes."""
    site.installation.kill("sekisho_audit.auditd")

    _until(lambda: site.ask().status_code == 200)

    boots = events_of(site.installation.leaves(), "audit.boot")
    assert len(boots) >= 2


def test_valkey_hangs(site: Site) -> None:
    """What needs a person cannot be kept, so it is refused; soon everything is, because nobody can
    tell whether it was stopped.
    """
    with _stopped(site, "valkey-server"):
        first = site.ask(text=HELD, timeout_s=SOON_S + 2)
        _refused(first, "hold_store_unavailable", "halt_unknown")
        _refused(site.ask(timeout_s=SOON_S + 2), "halt_unknown")
        assert [] == site.backend.seen

    _until(lambda: site.ask(text=f"{HELD} again").status_code in (303, 428))


def test_valkey_dies(site: Site) -> None:
    """A new Valkey gets the holds of the ledger before anything is decided with it."""
    first = site.ask(text=f"{HELD} kept")
    hold_id = first.json()["error"]["approval"]["id"]

    site.installation.kill("valkey-server")
    site.installation.wait_ready()

    shown = httpx.get(
        f"{site.installation.url}/v1/approvals/{hold_id}",
        headers={"authorization": f"Bearer {site.employee}"},
        trust_env=False,
    )
    assert "pending" == shown.json()["status"]


def test_the_rules_break_and_are_mended(site: Site) -> None:
    """A worker that starts with rules that do not compile refuses everything until they do."""
    broken = site.installation.folder / "policies" / "packs" / "broken.rego"
    broken.write_text("package packs.broken\n\ndeny contains x if { nosuch(x) }\n")
    site.installation.kill("sekisho.worker")

    def refused() -> bool:
        answer = site.ask()
        code = answer.json()["error"]["code"] if answer.status_code == 503 else ""
        return code == "policy_unavailable"

    _until(refused)
    assert [] == site.backend.seen
    broken.unlink()

    _until(lambda: site.ask().status_code == 200)


def test_ten_runaway_decisions(site: Site) -> None:
    """Each is refused at its deadline; the worker is replaced; memory does not grow with them."""
    answers = []
    for _ in range(10):
        began = time.monotonic()
        answers.append(site.ask("runaway", timeout_s=SOON_S + 2))
        answers[-1].extensions["took_s"] = time.monotonic() - began

    assert {503} == {answer.status_code for answer in answers}
    codes = {answer.json()["error"]["code"] for answer in answers}
    between_workers = {"gateway_stopping", "gateway_starting"}
    assert codes <= {"policy_unavailable", "overloaded"} | between_workers
    assert "policy_unavailable" in codes
    assert [] == site.backend.seen
    _until(lambda: site.ask().status_code == 200)
    worker = psutil.Process(site.installation.pids("sekisho.worker")[0])
    assert worker.memory_info().rss < 1_000_000_000


def test_a_worker_dies_and_clients_are_told(site: Site) -> None:
    """Between two workers the doorkeeper answers; nobody is left hanging."""
    site.installation.kill("sekisho.worker")

    answer = site.ask(timeout_s=SOON_S + 2)

    assert answer.status_code in (200, 503)
    _until(lambda: site.ask().status_code == 200)
