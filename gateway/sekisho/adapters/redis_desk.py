"""What reviewers are doing at the moment, in Redis or Valkey: `ReviewDesk` of model/desk.py.

Each change is one script (adapters/lua/desk) by the server's own clock. They stand outside the gate
of the hold store: nothing here is rebuilt from the ledger, and to have forgotten it makes approvals
slower and never easier, but for the counts of the hour.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from sekisho.adapters.redis_scripts import CALL_DEADLINE_S, Argument
from sekisho.errors import HoldStoreUnavailable, TooHasty
from sekisho.model.care import Care, Claim, Rate
from sekisho.model.hold import Hold, Review

HOUR_US = 3_600 * 1_000_000
_SHOWN_KEPT_S = 86_400  # beyond the life of the hold
_ATTEMPTS_MAX = 2  # a connection that the server dropped while it was idle fails once
_SECOND_US = 1_000_000


def load_sources() -> Mapping[str, str]:
    """The scripts by name."""
    folder = resources.files("sekisho.adapters") / "lua" / "desk"
    return {
        name: (folder / f"{name}.lua").read_text() for name in ("admit", "shown", "claim", "leave")
    }


class RedisReviewDesk:
    """One a worker. `prefix` is that of the keys, `channel` that of the holds' wake-ups."""

    sources = load_sources()

    def __init__(self, client: Redis, prefix: str, channel: str, care: Care) -> None:
        self._client = client
        self._prefix = prefix
        self._channel = channel
        self.care = care

    async def shown(self, hold: Hold, reader: str) -> int:
        """See ReviewDesk."""
        kept_s = (hold.expires_us - hold.created_us) // _SECOND_US + _SHOWN_KEPT_S
        return int(await self._run("shown", [self._shown_key(hold, reader)], kept_s * 1000))

    async def admit(self, review: Review, hold: Hold, decision_id: str) -> None:
        """See ReviewDesk."""
        care, approves = self.care, review.decision == "approve"
        dwell_us = care.dwell_us(hold.risk, hold.outgoing) if approves else 0
        keys = [*self._rate_keys(review.reviewer), self._shown_key(hold, review.reviewer)]
        pause_us = int(care.pause_s * _SECOND_US)
        args = (decision_id, "1" if approves else "", dwell_us, care.decisions_max, pause_us)
        reply = await self._run("admit", keys, *args, HOUR_US)
        standing = reply[0].decode()
        if standing != "ok":
            raise _hasty(standing, int(reply[1]) if len(reply) > 1 else 0)

    async def rate(self, reviewer: str) -> Rate:
        """See ReviewDesk."""
        decisions, pause = self._rate_keys(reviewer)

        async def asked() -> Any:
            seconds, microseconds = await self._client.time()
            now_us = int(seconds) * _SECOND_US + int(microseconds)
            count = await self._client.zcount(decisions, now_us - HOUR_US, "+inf")
            until_us = int(await self._client.get(pause) or 0)
            return Rate(count, until_us if until_us > now_us else 0)

        found: Rate = await _within_deadline(asked)
        return found

    async def claim(self, hold_id: str, reviewer: str) -> Claim:
        """See ReviewDesk."""
        lease_us = int(self.care.claim_s * _SECOND_US)
        args: tuple[Argument, ...] = (hold_id, self._channel, reviewer, lease_us)
        return _claim(hold_id, await self._run("claim", [self._claim_key(hold_id)], *args))

    async def leave(self, hold_id: str, reviewer: str) -> None:
        """See ReviewDesk."""
        args = (hold_id, self._channel, reviewer)
        await self._run("leave", [self._claim_key(hold_id)], *args)

    async def claims(self, hold_ids: Sequence[str]) -> Mapping[str, Claim]:
        """See ReviewDesk."""
        if not hold_ids:
            return {}
        try:
            async with asyncio.timeout(CALL_DEADLINE_S):
                held = await self._client.mget([self._claim_key(one) for one in hold_ids])
        except (RedisError, OSError, TimeoutError):
            return {}
        pairs = zip(hold_ids, held, strict=True)
        return {hold_id: _claim(hold_id, one) for hold_id, one in pairs if isinstance(one, bytes)}

    def _shown_key(self, hold: Hold, reader: str) -> str:
        return f"{self._prefix}shown:{hold.id}:{hold.version}:{reader}"

    def _rate_keys(self, reviewer: str) -> tuple[str, str]:
        return f"{self._prefix}decided:{reviewer}", f"{self._prefix}pause:{reviewer}"

    def _claim_key(self, hold_id: str) -> str:
        return f"{self._prefix}claim:{hold_id}"

    async def _run(self, name: str, keys: Sequence[str], *args: Argument) -> Any:
        async def asked() -> Any:
            return await self._client.eval(self.sources[name], len(keys), *keys, *args)

        return await _within_deadline(asked)


async def _within_deadline(asked: Any) -> Any:
    """What the store says. Everything asked here may be asked twice."""
    attempts = _ATTEMPTS_MAX
    try:
        async with asyncio.timeout(CALL_DEADLINE_S):
            while True:
                try:
                    return await asked()
                except RedisConnectionError:
                    attempts -= 1
                    if attempts == 0:
                        raise
    except (RedisError, OSError, TimeoutError) as error:
        message = "What reviewers are doing cannot be kept at the moment. Try again in a moment."
        raise HoldStoreUnavailable(message) from error


def _claim(hold_id: str, said: bytes) -> Claim:
    until_us, _, reviewer = said.decode().partition(" ")
    return Claim(hold_id, reviewer, int(until_us))


def _hasty(standing: str, wait_us: int) -> TooHasty:
    wait_s = max(1, -(-wait_us // _SECOND_US))
    if standing == "unshown":
        message = (
            "You were not shown this version of the hold yet. Look at it, and approve it then if "
            "you still want to."
        )
        return TooHasty(message, code="not_shown", wait_s=None)
    if standing == "soon":
        message = (
            f"You were shown this a moment ago. Read it; in {wait_s} s you can approve it. "
            "It can be denied at once."
        )
        return TooHasty(message, code="too_soon", wait_s=wait_s)
    message = (
        f"You decided very many holds within an hour. Approving pauses for {wait_s} s; denying "
        "does not. Let a colleague take some."
    )
    return TooHasty(message, code="approvals_paused", wait_s=wait_s)
