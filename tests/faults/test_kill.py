"""`kill -9` of any process at any moment, under load: what must be true afterwards.

Rounds come from SEKISHO_KILL_ROUNDS (10 in `make test`, 100 in `make soak`). In each round one
process of the installation is killed at a random moment while callers ask; some of the requests and
some of the answers are held and reviewed. At the end the ledger, what the backend saw and what
clients were told must agree.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import hmac
import json
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from sekisho_audit import seal
from sekisho_audit.form import epochs_of
from sekisho_audit.keyring import Keyring, load_secrets
from support.installation import Installation, events_of
from support.loopback_backend import LoopbackBackend

pytestmark = pytest.mark.long

ROUNDS = int(os.environ.get("SEKISHO_KILL_ROUNDS", "10"))
PARTS = ("sekisho.worker", "sekisho_audit.auditd", "valkey-server")
CALLERS = 8
HELD_EVERY = 5
ANSWER_HELD_EVERY = 3
MARK = 77  # tokens; what the rule below looks for
RULES = f"""# METADATA
# title: Answers of a certain length wait for a person
package packs.team.answers

import data.lib.text

# METADATA
# title: Held answer
hold contains object.union({{"stage": "response"}}, text.reason("answer_held", [], {{
    "en": "A person looks at this answer first.",
    "zh": "此回答须先由人查看。",
    "ja": "この回答は先に人が確認します。",
}})) if input.request.max_tokens == {MARK}
"""
CLEAR_STATUSES = {200, 403, 424, 428, 502, 503, 504}


@dataclass
class Told:
    """What clients and reviewers were told, by nonce or hold."""

    answered: dict[str, str] = field(default_factory=dict)
    statuses: collections.Counter[int] = field(default_factory=collections.Counter)
    broken: int = 0
    odd: list[str] = field(default_factory=list)
    approved: set[str] = field(default_factory=set)


def _body(nonce: str, number: int) -> bytes:
    text = f"customer list {nonce}" if number % HELD_EVERY == 0 else nonce
    body = {
        "model": "ok",
        "messages": [{"role": "user", "content": text}],
        "stream": number % 2 == 0,
        "max_tokens": MARK if number % ANSWER_HELD_EVERY == 0 else 20,
    }
    return json.dumps(body, separators=(",", ":")).encode()


async def _caller(
    http: aiohttp.ClientSession, url: str, name: int, told: Told, ended: asyncio.Event
) -> None:
    """Ask until told to stop; every answer must be one a client can understand."""
    number = 0
    while not ended.is_set():
        number += 1
        nonce = f"n{name}-{number}"
        try:
            async with http.post(f"{url}/v1/chat/completions", data=_body(nonce, number)) as answer:
                content = await answer.read()
                _note(told, nonce, answer, content, stream=number % 2 == 0)
        except (aiohttp.ClientError, TimeoutError):
            told.broken += 1
            await asyncio.sleep(0.05)
        await asyncio.sleep(random.uniform(0, 0.02))  # noqa: S311 - no secret


def _note(
    told: Told, nonce: str, answer: aiohttp.ClientResponse, content: bytes, *, stream: bool
) -> None:
    told.statuses[answer.status] += 1
    if answer.status not in CLEAR_STATUSES:
        told.odd.append(f"{answer.status} {content[:200]!r}")
    elif answer.status == 200:
        whole = b"[DONE]" in content if stream else json.loads(content)["choices"]
        if whole:
            told.answered[nonce] = answer.headers["x-sekisho-exchange"]
        elif b'"error"' not in content:
            told.odd.append(f"a stream that just stops: {content[-200:]!r}")
    elif not json.loads(content)["error"]["message"]:
        told.odd.append("an error without a message")


async def _reviewer(
    http: aiohttp.ClientSession, url: str, told: Told, ended: asyncio.Event
) -> None:
    """Approve whatever waits, twice each, to see that the second does nothing."""
    while not ended.is_set():
        await asyncio.sleep(0.1)
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, KeyError, ValueError):
            async with http.get(f"{url}/v1/approvals?status=open") as answer:
                cards = (await answer.json())["data"]
            for card in cards[:20]:
                async with http.get(f"{url}/v1/approvals/{card['id']}") as answer:
                    shown = await answer.json()
                review = {"decision": "approve", "binding": shown["binding"], "reason": "fine"}
                for _ in range(2):
                    async with http.post(
                        f"{url}/v1/approvals/{card['id']}/reviews", json=review
                    ) as answer:
                        if answer.status == 200:
                            told.approved.add(card["id"])


def _kill_one(installation: Installation) -> str:
    part = random.choice(PARTS)  # noqa: S311 - no secret
    with contextlib.suppress(psutil.Error, IndexError, ProcessLookupError):
        installation.kill(part)
    return part


async def _storm(installation: Installation, employee: str, reviewer: str) -> Told:
    told = Told()
    ended = asyncio.Event()
    timeout = aiohttp.ClientTimeout(total=20)

    def session(key: str) -> aiohttp.ClientSession:
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        return aiohttp.ClientSession(headers=headers, timeout=timeout)

    async with session(employee) as asking, session(reviewer) as reviewing:
        tasks = [
            asyncio.create_task(_caller(asking, installation.url, name, told, ended))
            for name in range(CALLERS)
        ]
        tasks.append(asyncio.create_task(_reviewer(reviewing, installation.url, told, ended)))
        for _ in range(ROUNDS):
            await asyncio.sleep(random.uniform(0.3, 1.5))  # noqa: S311 - no secret
            await asyncio.to_thread(_kill_one, installation)
            await asyncio.to_thread(installation.wait_ready, 30)
        await asyncio.sleep(1)
        ended.set()
        await asyncio.gather(*tasks)
    return told


def _commits_of(seen: list[bytes], leaves: list[Mapping[str, Any]], keys_dir: Path) -> list[str]:
    """For each body that the backend saw: the intents that commit to exactly these bytes."""
    secrets = load_secrets(keys_dir, create_missing=False)
    ring = Keyring(keys_dir / "principals.keys", secrets.kek)
    unmatched = []
    for leaf in events_of(leaves, "backend.intent"):
        exchange = str(leaf["exchange"])
        key = seal.commit_key(ring.key("staff-7", epochs_of(exchange)[0]), exchange)
        commit = next(p["commit"] for p in leaf["pl"] if p["name"] == "outgoing")
        unmatched.append((key, commit))
    ring.close()
    matched = []
    for body in seen:
        # Intents and bodies come in nearly the same order, so the search ends near the front.
        found = next(
            (pair for pair in unmatched if hmac.digest(pair[0], body, "sha256").hex() == pair[1]),
            None,
        )
        matched.append(found[1] if found else "")
        if found:
            unmatched.remove(found)
    return matched


def _lay_out(installation: Installation) -> None:
    installation.write()
    bundle = installation.folder / "policies"
    (bundle / "packs" / "team").mkdir()
    (bundle / "packs" / "team" / "answers.rego").write_text(RULES)
    data = bundle / "data.yaml"
    data.write_text(data.read_text().replace("modes:\n", "modes:\n  team: enforce\n"))


async def test_no_kill_loses_or_doubles_anything(tmp_path: Path) -> None:
    """I1 and I2, I3 and I7: see the module's docstring."""
    async with LoopbackBackend(words=3) as backend:
        installation = Installation(tmp_path / "i", {"ok": backend.url}, workers=2)
        await asyncio.to_thread(_lay_out, installation)
        await asyncio.to_thread(installation.start)
        try:
            employee = await asyncio.to_thread(installation.key, "staff-7")
            reviewer = await asyncio.to_thread(
                installation.key, "reviewer-1", roles="employee,reviewer"
            )
            told = await _storm(installation, employee, reviewer)
        finally:
            status = await asyncio.to_thread(installation.stop)
        seen = [request.body for request in backend.seen]
    assert status == 0
    assert not told.odd
    assert len(told.answered) > ROUNDS
    leaves = installation.leaves()
    _check_outcomes(leaves, told)
    _check_backend(leaves, seen, installation)
    verified = installation.verify()
    assert verified.returncode == 0, verified.stdout + verified.stderr


def _check_outcomes(leaves: list[dict[str, Any]], told: Told) -> None:
    """Every intent has exactly one outcome; what was answered was recorded as released."""
    outcomes = collections.Counter(
        leaf["data"]["intent"] for leaf in events_of(leaves, "backend.outcome")
    )
    intents = {leaf["id"]: leaf for leaf in events_of(leaves, "backend.intent")}
    assert set(intents) == set(outcomes)
    assert set(outcomes.values()) <= {1}
    released = {
        leaf["exchange"]
        for leaf in leaves
        if leaf["type"] in ("backend.outcome", "outcome.late")
        and leaf["data"]["status"] == "released"
    }
    given = [leaf["data"]["hold"] for leaf in events_of(leaves, "hold.released")]
    assert len(given) == len(set(given))
    given_to = {leaf["exchange"] for leaf in events_of(leaves, "hold.released")}
    assert given_to
    assert not given_to & released
    assert set(told.answered.values()) <= released | given_to
    settled = {
        leaf["data"]["hold"]
        for leaf in events_of(leaves, "hold.settled")
        if leaf["data"]["state"] == "approved"
    }
    assert told.approved <= settled
    dispatched = [leaf["data"]["hold"] for leaf in intents.values() if leaf["data"].get("hold")]
    assert len(dispatched) == len(set(dispatched))
    assert set(dispatched) <= settled
    assert set(given) <= settled
    indices = [leaf["n"] for leaf in leaves]
    assert indices == list(range(len(leaves)))


def _check_backend(
    leaves: list[dict[str, Any]], seen: list[bytes], installation: Installation
) -> None:
    """Nothing reached the backend without an intent to exactly these bytes; held ones once."""
    matched = _commits_of(seen, leaves, installation.folder / "keys")
    assert "" not in matched
    held = [body for body in seen if b"customer list" in body]
    assert held
    assert len(held) == len(set(held))
