"""On every one of four workers within a second: what was taken away opens nothing any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from sekisho.adapters.key_desk import read_pepper
from sekisho.adapters.registry_keys import KeyTerms, create, revoke
from sekisho.adapters.sql_registry import Registry
from support.installation import KEY_KNOWN_S, Installation
from support.large_registry import fill
from support.loopback_backend import LoopbackBackend

from .conftest import Site

pytestmark = pytest.mark.long

WITHIN_S = 1.0  # the promise
LARGE = 20_000  # principals: all of them take longer to read than the promise leaves
CHANGE_S = 0.2  # between two changes, so that workers never stop reading them
TRIES = 120  # each on a connection of its own, so that all workers are met many times


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, scripted: LoopbackBackend) -> Iterator[Site]:
    """Four workers."""
    installation = Installation(tmp_path_factory.mktemp("r"), {"*": scripted.url}, workers=4)
    installation.start()
    employee = installation.key("staff-7")
    reviewer = installation.key("reviewer-1", roles="employee,reviewer")
    yield Site(installation, scripted, employee, reviewer)
    assert installation.stop() == 0
    assert installation.verify().returncode == 0


def statuses(site: Site, headers: dict[str, str]) -> set[int]:
    """What all workers say to this credential."""
    url = f"{site.installation.url}/v1/models"
    fresh = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(headers=headers, limits=fresh, timeout=10, trust_env=False) as http:
        return {http.get(url).status_code for _ in range(TRIES)}


TAKING = {
    "revoked": lambda key, _: ("key", "revoke", key.split("-")[2]),
    "shut out": lambda _, name: ("principal", "grant", name, "--disable"),
    "gone": lambda _, name: ("principal", "leave", name, "--yes"),
}


@pytest.mark.parametrize("how", TAKING)
def test_what_is_taken_away_is_refused_everywhere(site: Site, how: str) -> None:
    """A key, all keys of a principal, and a session that began with one."""
    name = f"staff-{how.replace(' ', '-')}"
    key = site.installation.key(name)
    time.sleep(KEY_KNOWN_S)
    signed_in = httpx.post(
        f"{site.installation.url}/login",
        data={"key": key},
        headers={"origin": site.installation.url},
        trust_env=False,
    )
    assert signed_in.status_code == 303
    cookie = signed_in.headers["set-cookie"].partition(";")[0]
    shown = [{"authorization": f"Bearer {key}"}, {"cookie": cookie}]
    for headers in shown:
        assert statuses(site, headers) == {200}

    config = str(site.installation.config)
    site.installation.run(*TAKING[how](key, name), "--config", config)
    time.sleep(WITHIN_S)

    for headers in shown:
        refused = statuses(site, headers)
        assert 200 not in refused
        assert refused <= {401, 429}
    assert statuses(site, {"authorization": f"Bearer {site.employee}"}) == {200}


def _change(registry: Registry, over: threading.Event) -> None:
    number = 0
    while not over.wait(CHANGE_S):
        number += 1
        with registry.change() as change:
            change.set_groups(f"person-{100 + number}", {"sales", f"g{number}"})


def test_in_a_large_house_that_changes_all_the_time(site: Site) -> None:
    """A revocation waits for no copy of the whole registry; and nobody else is shut out."""
    folder = site.installation.folder
    registry = fill(folder / "data" / "registry.sqlite", LARGE)
    with registry.change() as change:
        minted = create(change, "person-1", read_pepper(folder / "keys"), KeyTerms())
    headers = {"authorization": f"Bearer {minted.plaintext}"}
    until_s = time.monotonic() + 20
    while statuses(site, headers) != {200}:
        assert time.monotonic() < until_s
    over = threading.Event()
    changing = threading.Thread(target=_change, args=(registry, over))
    changing.start()
    time.sleep(2 * WITHIN_S)  # copies are under way everywhere
    with registry.change() as change:
        revoke(change, minted.id)
    time.sleep(WITHIN_S)
    refused = statuses(site, headers)
    others = statuses(site, {"authorization": f"Bearer {site.employee}"})
    over.set()
    changing.join()
    registry.close()

    assert refused <= {401, 429}
    assert others == {200}
