"""The whole gateway with `engine = "server"`: it works, and while OPA fails nothing passes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from support.installation import Installation, events_of
from support.loopback_backend import LoopbackBackend
from support.opa_data_api import DataAPI, Fault, data_api, decides, reset, says
from support.rules import bundle

from .conftest import Site

ALLOW = {"schema": "sekisho.decision/v1", "effect": "allow", "reasons": [], "obligations": {}}


@pytest.fixture(scope="module")
def opa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataAPI]:
    with data_api(bundle(tmp_path_factory.mktemp("b")), token="t-1") as api:
        yield api


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, scripted: LoopbackBackend, opa: DataAPI
) -> Iterator[Site]:
    """As in conftest, with the OPA server and without kept decisions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPA_TOKEN", "t-1")
        policy = {
            "engine": "server",
            "url": opa.url,
            "token_env": "OPA_TOKEN",
            "deadline_ms": 5000,
            "memo_max": 0,
        }
        folder = tmp_path_factory.mktemp("f")
        installation = Installation(folder, {"*": scripted.url}, settings={"policy": policy})
        installation.start()
        employee = installation.key("staff-7")
        yield Site(installation, scripted, employee, "")
        assert installation.stop() == 0
        verified = installation.verify()
        assert verified.returncode == 0, verified.stdout


def _policy(site: Site) -> str:
    """What /readyz says of policy."""
    ready = httpx.get(f"{site.installation.url}/readyz", trust_env=False, timeout=10)
    return str(ready.json()["parts"]["policy"])


def _until(works: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not works():
        assert time.monotonic() < until, "did not recover by itself"
        time.sleep(0.1)


def test_an_exchange(site: Site, opa: DataAPI) -> None:
    """It is decided by the server, and the ledger has its engine and the bundle's revision."""
    answer = site.ask()

    assert 200 == answer.status_code
    decision = events_of(site.installation.leaves(), "policy.decision")[-1]["data"]
    assert opa.revisions["sekisho"] in str(decision)
    assert "opa-server" in str(decision)


FAILING: dict[str, tuple[Fault, str]] = {
    "down": (reset, "ended the connection"),
    "busy": (says(503, b""), "status_503"),
    "another token": (says(401, {"code": "unauthorized"}), "token_env"),
    "no rules": (says(200, {"result": ALLOW, "provenance": {}}), "no rules yet"),
    "allows all": (decides(ALLOW), "must be denied"),
}


@pytest.mark.parametrize("case", FAILING)
def test_while_the_server_fails_nothing_passes(site: Site, opa: DataAPI, case: str) -> None:
    """503 with policy's code; /readyz tells operators what to mend; it recovers by itself."""
    fault, said = FAILING[case]
    opa.fail(fault)
    try:
        assert said in _policy(site)
        answer = site.ask()
        assert (503, "policy_unavailable") == (
            answer.status_code, answer.json()["error"]["code"],
        )  # fmt: skip
        assert "OPA" not in answer.json()["error"]["message"]
        assert [] == site.backend.seen
    finally:
        opa.fail(None)
    _until(lambda: site.ask().status_code == 200)
    assert "ok" == _policy(site)


def test_a_server_with_other_rules(site: Site, opa: DataAPI, tmp_path: Path) -> None:
    """Its revision is not the one on this disk: both sides are told apart by their digests."""
    more = "package packs.team.more\n\nx := 1\n"
    kept = site.installation.folder / "policies"
    opa.serve(bundle(tmp_path, packs__team__more=more))
    try:
        assert "another revision than sha256:" in _policy(site)
        assert 503 == site.ask().status_code
        assert [] == site.backend.seen
    finally:
        opa.serve(kept)
    _until(lambda: site.ask().status_code == 200)
