"""Rules change while everything runs: two workers, and an employee who keeps asking."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from sekisho.adapters.key_desk import KeyDesk
from sekisho.cli.stock import desk_of
from sekisho.config import load
from support.installation import KEY_KNOWN_S, Installation, events_of
from support.loopback_backend import in_thread
from support.revisions import ACTIVATOR, AUTHOR, DENY_ALL, replay
from support.rules import give_modes

TAKEN_S = 40.0


@pytest.fixture
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Two workers; the folder's name is short because paths of sockets must be."""
    with in_thread() as backend:
        installation = Installation(tmp_path_factory.mktemp("p"), {"*": backend.url}, workers=2)
        installation.start()
        yield installation
        installation.stop()


def _ask(house: Installation, key: str) -> str:
    """`ok`, or the code of what was refused."""
    answer = httpx.post(
        f"{house.url}/v1/chat/completions",
        headers={"authorization": f"Bearer {key}"},
        json={"model": "ok", "messages": [{"role": "user", "content": "hi"}]},
        timeout=20,
        trust_env=False,
    )
    return "ok" if answer.is_success else str(answer.json()["error"]["code"])


def _until(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + TAKEN_S
    while not happened():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.2)


def _loaded(house: Installation, count: int) -> bool:
    """Whether so many swaps are on record, of both workers together."""
    return len(events_of(house.leaves(), "policy.loaded")) >= count


def test_a_revision_is_taken_and_given_back_under_load(house: Installation) -> None:
    """No request is lost or undecided meanwhile; each decision names one of the two revisions."""
    settings = load(house.config)
    employee = KeyDesk(settings).create("staff-7", groups=["employees"], roles=["employee"])
    closed = house.folder / "closed"
    shutil.copytree(house.folder / "policies", closed)
    (closed / "packs" / "team").mkdir()
    (closed / "packs" / "team" / "closed.rego").write_text(DENY_ALL)
    give_modes(closed)
    desk = desk_of(settings)
    revision = desk.draft(AUTHOR, closed).revision
    replay(desk, AUTHOR, revision)
    _until(lambda: '"worker-1"' in house.log.read_text())
    time.sleep(KEY_KNOWN_S)
    said: list[str] = []
    over = threading.Event()

    def keep_asking() -> None:
        while not over.is_set():
            said.append(_ask(house, employee))

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        desk.activate(ACTIVATOR, revision)
        _until(lambda: _loaded(house, 2))
        assert _ask(house, employee) == "policy_denied"
        desk.rollback(ACTIVATOR)
        _until(lambda: _loaded(house, 4))
        assert _ask(house, employee) == "ok"
    finally:
        over.set()
        asking.join(30)
    assert set(said) == {"ok", "policy_denied"}
    leaves = house.leaves()
    first = events_of(leaves, "policy.activated")[0]["data"]["previous"]
    decided = events_of(leaves, "policy.decision")
    assert {(one["data"]["revision"], one["data"]["effect"]) for one in decided} == {
        (revision, "deny"),
        (first, "allow"),
    }
    assert [one["data"]["revision"] for one in events_of(leaves, "policy.loaded")] == [
        *(revision, revision, first, first)
    ]
    assert house.stop() == 0
    assert house.verify().returncode == 0
