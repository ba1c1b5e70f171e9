"""What crosses the gate and what does not, in both directions; and what a hang-up does."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest
from aiohttp import web

from support.installation import events_of

from .conftest import Site

STREAM = {"model": "stall", "stream": True, "messages": [{"role": "user", "content": "hi"}]}


def _post(site: Site, body: bytes, **headers: str) -> httpx.Response:
    return httpx.post(
        f"{site.installation.url}/v1/chat/completions",
        headers={"authorization": f"Bearer {site.employee}", **headers},
        content=body,
        timeout=10,
        trust_env=False,
    )


def test_the_body_arrives_byte_for_byte(site: Site) -> None:
    """Spaces, order, escapes, number spellings and unknown members are not touched."""
    body = (
        b'{ "messages" : [ {"role":"user","content":"caf\\u00e9 \\ud83d\\ude00 \xe6\x97\xa5"} ],'
        b'\n "model":"ok", "temperature":1.0e0, "x_new":{"b":1,"a":[1.50, null]} }'
    )

    assert 200 == _post(site, body).status_code
    assert [body] == [seen.body for seen in site.backend.seen]


def test_the_employees_credentials_and_cookies_stay_here(site: Site) -> None:
    """Neither key nor cookie nor any header of the client reaches the backend."""
    _post(
        site,
        b'{"model":"ok","messages":[{"role":"user","content":"hi"}]}',
        **{
            "cookie": "session=client-secret",
            "api-key": "also-secret",
            "openai-organization": "org-secret",
            "x-forwarded-for": "10.0.0.1",
        },
    )

    sent = json.dumps(site.backend.seen[0].headers)
    assert site.employee not in sent
    assert "secret" not in sent
    assert "10.0.0.1" not in sent


def test_the_backends_cookies_stay_there(site: Site) -> None:
    """No Set-Cookie for the client, and none in the next call."""
    body = b'{"model":"cookie","messages":[{"role":"user","content":"hi"}]}'

    answers = [_post(site, body) for _ in range(2)]

    assert all("set-cookie" not in answer.headers for answer in answers)
    assert all("Cookie" not in seen.headers for seen in site.backend.seen)


def test_the_list_of_models_is_the_backends_own(site: Site) -> None:
    """For a backend with patterns, and nothing of the client goes there with the question."""
    names = [{"id": name} for name in ("ok", "not a name", "slow")]
    site.backend.models = web.json_response({"object": "list", "data": names})
    key = {"authorization": f"Bearer {site.employee}"}
    listed = httpx.get(f"{site.installation.url}/v1/models", headers=key, trust_env=False)

    assert {"ok", "slow"} <= {model["id"] for model in listed.json()["data"]}
    assert "not a name" not in listed.text
    assert site.employee not in json.dumps([seen.headers for seen in site.backend.listed])
    assert len(site.backend.listed) == 1


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_hanging_up_cancels_the_backend_and_is_recorded(site: Site, stream: bool) -> None:
    """The call at the backend ends, and its outcome says cancelled."""
    body: dict[str, Any] = {**STREAM, "stream": stream}
    if not stream:
        body["model"] = "slow"
        site.backend.slow_s = 30
    with (
        httpx.Client(trust_env=False, timeout=1.0) as client,
        pytest.raises(httpx.ReadTimeout),
        client.stream(
            "POST",
            f"{site.installation.url}/v1/chat/completions",
            headers={"authorization": f"Bearer {site.employee}"},
            json=body,
        ) as answer,
    ):
        for _ in answer.iter_raw():
            pass

    until = time.monotonic() + 10
    while not (site.backend.seen and site.backend.seen[0].cancelled):
        assert time.monotonic() < until, "the backend was not told"
        time.sleep(0.05)
    time.sleep(0.5)
    outcome = events_of(site.installation.leaves(), "backend.outcome")[-1]
    assert ("cancelled", "client_gone") == (outcome["data"]["status"], outcome["data"]["cause"])


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("status-401", 502, "backend_credential_refused"),
        ("status-500", 502, "backend_failed"),
        ("status-503", 502, "backend_failed"),
        ("redirect", 502, "backend_redirected"),
        ("notjson", 502, "backend_malformed"),
        ("big", 502, "answer_too_large"),
    ],
)
def test_a_backend_that_misbehaves(site: Site, model: str, status: int, code: str) -> None:
    """Its troubles become a clear 502 of ours, with the outcome recorded as failed."""
    answer = site.ask(model)

    assert (status, code) == (answer.status_code, answer.json()["error"]["code"])
    outcome = events_of(site.installation.leaves(), "backend.outcome")[-1]
    assert "failed" == outcome["data"]["status"]


def test_a_dead_connection_is_tried_once_more_as_another_intent(site: Site) -> None:
    """Two sendings, two intents, two outcomes; then the client is told."""
    answer = site.ask("dead")

    assert 502 == answer.status_code
    exchange = answer.headers["x-sekisho-exchange"]
    mine = [leaf for leaf in site.installation.leaves() if leaf["exchange"] == exchange]
    assert [1, 2] == [leaf["data"]["attempt"] for leaf in events_of(mine, "backend.intent")]
    assert 2 == len(events_of(mine, "backend.outcome")) == len(site.backend.seen)


def test_a_cut_stream_ends_with_an_error_event(site: Site) -> None:
    """What came is relayed; then every SDK raises, instead of taking it for the whole."""
    body = {**STREAM, "model": "cut"}
    answer = _post(site, json.dumps(body).encode())

    assert "backend_cut" == json.loads(answer.text.split("data: ")[-1])["error"]["code"]


def test_errors_of_the_backend_about_the_request_are_relayed(site: Site) -> None:
    """A 400 or 429 of the backend tells the client what to do, so it passes."""
    for status in (400, 429):
        answer = site.ask(f"status-{status}")
        assert (status, "scripted") == (answer.status_code, answer.json()["error"]["message"])


def _counts(site: Site) -> dict[str, float]:
    """Every sample of /metrics by its name and labels."""
    text = httpx.get(f"{site.installation.url}/metrics", trust_env=False).text
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def test_what_happens_is_counted(site: Site) -> None:
    """One good answer, one failed, one refused and one stream: each sample moves by as much."""
    before = _counts(site)
    site.ask()
    site.ask("status-500")
    _post(site, b"{")
    _post(site, json.dumps({**STREAM, "model": "ok"}).encode())
    after = _counts(site)

    moved = {name: after[name] - before.get(name, 0) for name in after}
    assert 2 == moved['sekisho_exchanges_total{code="ok"}']
    assert 1 == moved['sekisho_exchanges_total{code="backend_failed"}']
    assert 1 == moved['sekisho_exchanges_total{code="invalid_json"}']
    assert 3 == moved['sekisho_decision_seconds_count{stage="request"}']
    assert 3 == moved['sekisho_backend_seconds_count{backend="backend-0"}']
    assert 7 <= moved['sekisho_ledger_append_seconds_count{outcome="ok"}']
    assert moved["sekisho_chunks_total"] > 0
    assert 0 == after["sekisho_inflight"]


def test_nothing_of_the_content_is_in_logs_or_metrics(site: Site) -> None:
    """A canary in the prompt is found neither in the log nor in the metrics nor in the ledger."""
    canary = "canary-c81f"
    site.ask(text=canary)
    site.ask("status-500", text=canary)
    _post(site, b'{"model":"ok","messages":[{"role":"user","content":"' + canary.encode() + b'"')

    metrics = httpx.get(f"{site.installation.url}/metrics", trust_env=False).text
    assert "sekisho_exchanges" in metrics
    for text in (metrics, site.installation.log.read_text()):
        assert canary not in text
        assert site.employee not in text
    for file in site.installation.ledger.rglob("*"):
        assert file.is_dir() or canary.encode() not in file.read_bytes()
