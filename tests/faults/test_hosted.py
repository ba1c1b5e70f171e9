"""Tools that would run at the backend, past every hold: refused, and the backend saw zero bytes."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from support.hosted_bodies import HOSTED

from .conftest import Site

CASES = [
    pytest.param(body, id=f"{dialect}-{name}")
    for dialect, bodies in HOSTED.items()
    for name, body in bodies.items()
]


@pytest.mark.parametrize("body", CASES)
def test_hosted_tools_never_reach_a_backend(site: Site, body: dict[str, Any]) -> None:
    """Each is a denial that names what was found, or a 400 where it cannot be judged."""
    answer = httpx.post(
        f"{site.installation.url}/v1/chat/completions",
        headers={"authorization": f"Bearer {site.employee}"},
        json=body,
        timeout=10,
        trust_env=False,
    )

    error = answer.json()["error"]
    assert answer.status_code in (400, 403)
    assert error["code"] in ("policy_denied", "invalid_request")
    assert error["message"]
    assert [] == site.backend.seen


def test_the_same_request_without_them_passes(site: Site) -> None:
    """What is refused above is refused for the tool and nothing else."""
    assert 200 == site.ask("m").status_code
    assert 1 == len(site.backend.seen)
