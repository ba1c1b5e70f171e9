"""The guard in front of a whole installation: strangers, floods, spoofed heads, slow bodies, pages.

Clients come from several loopback addresses: 127.0.0.9 is the reverse proxy that is trusted, the
others are what a network has.
"""

from __future__ import annotations

import concurrent.futures
import json
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.installation import Installation, events_of
from support.loopback_backend import LoopbackBackend

from .conftest import Site

PROXY = "127.0.0.9"
PAGE = "https://chat.example"
FAILURES_PER_MIN = 5
FLOOD = 400  # from as many addresses
WRONG = "sk-sekisho-abcdefgh-" + "x" * 43
SETTINGS: dict[str, dict[str, Any]] = {
    "server": {
        "body_timeout_s": 1.0,
        "headers_timeout_s": 1.0,
        "header_bytes_max": 8192,
        "per_principal_max": 2,
        "cors_origins": [PAGE],
        "public_url": "https://gate.example",
    },
    "identity": {
        "failures_per_min": FAILURES_PER_MIN,
        "trusted_peers": [f"{PROXY}/32"],
        "user_header": "x-user",
    },
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, scripted: LoopbackBackend) -> Iterator[Site]:
    """An installation behind a proxy, with small limits."""
    installation = Installation(
        tmp_path_factory.mktemp("g"), {"*": scripted.url}, settings=SETTINGS
    )
    installation.start()
    employee = installation.key("staff-7")
    reviewer = installation.key("reviewer-1", roles="employee,reviewer")
    yield Site(installation, scripted, employee, reviewer)
    assert installation.stop() == 0
    verified = installation.verify()
    assert verified.returncode == 0, verified.stdout


def _ask(
    site: Site,
    headers: dict[str, str] | Sequence[tuple[str, str]],
    *,
    ip: str = "127.0.0.1",
    method: str = "POST",
    path: str = "/v1/chat/completions",
    model: str = "ok",
) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    transport = httpx.HTTPTransport(local_address=ip)
    with httpx.Client(transport=transport, timeout=10) as client:
        return client.request(
            method,
            site.installation.url + path,
            headers=headers,  # type: ignore[arg-type]
            json=body if method == "POST" else None,
        )


def _bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def _raw(site: Site, path: str, length: int) -> bytes:
    """What a client reads that declares a body and sends one byte of it."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {site.employee}\r\n"
        f"content-type: application/json\r\ncontent-length: {length}\r\n\r\n{{"
    )
    with socket.create_connection(("127.0.0.1", site.installation.port), timeout=30) as link:
        link.sendall(head.encode())
        return link.makefile("rb").read()


def _refusals(site: Site) -> list[dict[str, Any]]:
    return [
        dict(leaf["data"]) for leaf in events_of(site.installation.leaves(), "credential.refused")
    ]


def test_a_wrong_key_is_recorded_before_it_is_told(site: Site) -> None:
    """Cause, place and public id are there when the 401 arrives; the secret is nowhere."""
    before = len(_refusals(site))
    answer = _ask(site, _bearer(WRONG), ip="127.0.1.1")
    recorded = _refusals(site)[before:]

    assert (401, "invalid_api_key") == (answer.status_code, answer.json()["error"]["code"])
    assert "Bearer" == answer.headers["www-authenticate"]
    assert [("unknown", 1, "abcdefgh")] == [
        (data["cause"], data["count"], data["credential"]) for data in recorded
    ]
    assert "x" * 43 not in site.installation.log.read_text()
    assert "127.0.1.1" in site.installation.log.read_text()


def test_control_routes_refuse_the_same_way(site: Site) -> None:
    """One entrance for the data path and for everything behind it."""
    before = len(_refusals(site))
    answer = _ask(site, _bearer(WRONG), ip="127.0.1.2", method="GET", path="/v1/approvals")

    assert 401 == answer.status_code
    assert ["control route"] == [data["where"] for data in _refusals(site)[before:]]


def test_a_flood_is_slowed_and_a_colleague_is_not(site: Site) -> None:
    """429 for the wrong keys of an address; a good key from there works all the time."""
    answers = [_ask(site, _bearer(WRONG), ip="127.0.1.3") for _ in range(FAILURES_PER_MIN + 3)]
    colleague = _ask(site, _bearer(site.employee), ip="127.0.1.3")
    last = answers[-1]

    assert [401] * FAILURES_PER_MIN + [429] * 3 == [answer.status_code for answer in answers]
    assert "too_many_failures" == last.json()["error"]["code"]
    assert "false" == last.headers["x-should-retry"]
    assert int(last.headers["retry-after"]) > 0
    assert 200 == colleague.status_code


def test_many_addresses_fill_neither_the_ledger_nor_the_log(
    tmp_path: Path, scripted: LoopbackBackend
) -> None:
    """A distributed flood is summed to the last one; everybody else goes on."""
    installation = Installation(tmp_path, {"*": scripted.url}, settings=SETTINGS)
    installation.start()
    flooded = Site(installation, scripted, installation.key("staff-7"), "")

    def fail(number: int) -> int:
        ip = f"127.0.{number // 200 + 2}.{number % 200 + 1}"
        return _ask(flooded, _bearer(WRONG), ip=ip).status_code

    began_s = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = set(pool.map(fail, range(FLOOD)))
    minutes = 2 + int((time.monotonic() - began_s) // 60)  # it may begin late in its first one
    good = _ask(flooded, _bearer(flooded.employee)).status_code
    log_bytes = installation.log.stat().st_size
    assert installation.stop() == 0
    counts = [data["count"] for data in _refusals(flooded)]

    assert ({401}, 200) == (statuses, good)
    assert FLOOD == sum(counts)
    assert len(counts) <= FAILURES_PER_MIN * 8 * minutes
    assert log_bytes < 100_000


def test_a_stranger_cannot_speak_as_the_proxy(site: Site) -> None:
    """The name is ignored, the forwarded address too."""
    answer = _ask(site, {"x-user": "staff-7", "x-forwarded-for": "198.51.100.1"}, ip="127.0.1.5")

    assert 401 == answer.status_code
    assert "198.51.100.1" not in site.installation.log.read_text()


def test_the_proxy_tells_who_it_speaks_for(site: Site) -> None:
    """Injected entries in front of its own do not move the source."""
    forwarded = {"x-forwarded-for": "192.0.2.66, 198.51.100.77"}
    answer = _ask(site, {**_bearer(WRONG), **forwarded}, ip=PROXY)
    log = site.installation.log.read_text()

    assert answer.status_code in {401, 429}
    assert "192.0.2.66" not in log


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", "A"), ("authorization", "B")],
        [("authorization", "A"), ("x-api-key", WRONG)],
    ],
)
def test_two_credentials_are_none(site: Site, headers: list[tuple[str, str]]) -> None:
    """Even if one of them is good."""
    sent = [
        (name, f"Bearer {site.employee}" if len(value) == 1 else value) for name, value in headers
    ]

    assert _ask(site, sent, ip="127.0.1.6").status_code == 401


def test_heads_are_bounded(site: Site) -> None:
    """Cookies of a megabyte reach nobody."""
    answer = _ask(site, {**_bearer(site.employee), "cookie": "a=" + "b" * 9000})

    assert 431 == answer.status_code
    assert "nosniff" == answer.headers["x-content-type-options"]


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/approvals/hold_00000000000000000000000000000000/reviews"]
)
def test_a_slow_body_is_given_up(site: Site, path: str) -> None:
    """On the data path and on a control route."""
    answer = _raw(site, path, 1000)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"request_timeout"' in answer


def test_a_large_review_is_not_read(site: Site) -> None:
    """413 before the body is there."""
    path = "/v1/approvals/hold_00000000000000000000000000000000/reviews"

    answer = _raw(site, path, 100_000_000)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"request_too_large"' in answer


def test_ones_own_crowd_is_a_limit_and_not_an_outage(site: Site) -> None:
    """429 with when to come back, for this principal only."""
    site.backend.slow_s = 2.0
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        running = [pool.submit(_ask, site, _bearer(site.employee), model="slow") for _ in range(4)]
        answers = [each.result() for each in running]
        colleague = _ask(site, _bearer(site.reviewer))
    site.backend.slow_s = 0.5
    refused = [answer for answer in answers if answer.status_code != 200]

    assert 2 == len(refused)
    assert {(429, "too_many_requests_at_once")} == {
        (answer.status_code, answer.json()["error"]["code"]) for answer in refused
    }
    assert {"1"} == {answer.headers["retry-after"] for answer in refused}
    assert 200 == colleague.status_code


@pytest.mark.parametrize("origin", ["https://evil.example", "null", PAGE + ".evil.example"])
def test_pages_of_others_are_shut_out(site: Site, origin: str) -> None:
    """Neither the preflight nor an answer is theirs."""
    asked = {"origin": origin, "access-control-request-method": "POST"}
    preflight = _ask(site, asked, method="OPTIONS")
    answer = _ask(site, {**_bearer(site.employee), "origin": origin})

    assert 403 == preflight.status_code
    for told in (preflight, answer):
        assert "access-control-allow-origin" not in told.headers
        assert "access-control-allow-credentials" not in told.headers


def test_a_listed_page_reads_its_answers(site: Site) -> None:
    """Preflight, answer and refusal alike."""
    asked = {
        "origin": PAGE,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-stainless-lang",
    }
    preflight = _ask(site, asked, method="OPTIONS")
    answer = _ask(site, {**_bearer(site.employee), "origin": PAGE})
    refusal = _ask(site, {**_bearer(WRONG), "origin": PAGE}, ip="127.0.1.7")

    assert 204 == preflight.status_code
    assert "x-stainless-lang" in preflight.headers["access-control-allow-headers"]
    assert "x-sekisho-exchange" in answer.headers["access-control-expose-headers"]
    assert [PAGE] * 3 == [
        told.headers["access-control-allow-origin"] for told in (preflight, answer, refusal)
    ]


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/approvals", "/readyz", "/openapi.json", "/approvals/hold_1", "/x"]
)
def test_every_answer_says_what_browsers_must_know(site: Site, path: str) -> None:
    """Once each, with no word about the software."""
    headers = _ask(site, _bearer(site.employee), method="GET", path=path).headers

    for name in ("x-content-type-options", "referrer-policy", "cross-origin-resource-policy",
                 "strict-transport-security"):  # fmt: skip
        assert len(headers.get_list(name)) == 1, name
    assert "server" not in headers
    if path != "/v1/models":
        assert len(headers.get_list("content-security-policy")) == 1
        assert "no-store" in headers["cache-control"]


def test_no_secret_is_where_operators_look(site: Site) -> None:
    """Logs, metrics, events and command lines after all of this."""
    _ask(site, _bearer(WRONG), ip="127.0.1.8")
    listing = subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=True
    ).stdout
    metrics = httpx.get(f"{site.installation.url}/metrics", trust_env=False).text
    events = json.dumps(site.installation.leaves())
    for secret in (WRONG, site.employee, site.reviewer):
        for place in (site.installation.log.read_text(), metrics, events, listing):
            assert secret[20:] not in place
