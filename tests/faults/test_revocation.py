"""On every one of four workers within a second: what was taken away opens nothing any more."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from support.installation import Installation
from support.loopback_backend import LoopbackBackend

from .conftest import Site

WITHIN_S = 1.0  # the promise
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
    "gone": lambda _, name: ("principal", "leave", name),
}


@pytest.mark.parametrize("how", TAKING)
def test_what_is_taken_away_is_refused_everywhere(site: Site, how: str) -> None:
    """A key, all keys of a principal, and a session that began with one."""
    name = f"staff-{how.replace(' ', '-')}"
    key = site.installation.key(name)
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
