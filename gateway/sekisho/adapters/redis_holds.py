"""The live state of holds in Redis or Valkey: `HoldStore` of ports.py.

Every change is one script (adapters/lua), a compare-and-set by the server's own clock; this module
turns values into arguments, answers into values or errors, and seals content on the way in. All
keys share one hash tag, so that a hold, its join pointer, the indexes and the byte count change
together also on a cluster; people decide holds, so one slot carries them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sekisho.adapters import hold_content
from sekisho.adapters.redis_desk import RedisReviewDesk
from sekisho.adapters.redis_paces import Paces
from sekisho.adapters.redis_scripts import Argument, GatedScripts
from sekisho.adapters.redis_wakeups import Wakeups
from sekisho.errors import (
    Conflict,
    Forbidden,
    HoldStoreUnavailable,
    LimitReached,
    Mismatch,
    NotFound,
)
from sekisho.holding import record
from sekisho.holding.binding import is_bound
from sekisho.model import steps
from sekisho.model.hold import (
    Hold,
    HoldCard,
    HoldLimits,
    HoldState,
    HoldView,
    Pace,
    Place,
    Proposal,
    ProposalKind,
    Review,
    StoredAnswer,
)
from sekisho.ports import Due, ExchangeKeys, Reservation, Restoration, Taken

TAG = "{sekisho-holds}"
CHANNEL = f"{TAG}:wake"
HOLDS = f"{TAG}:hold:"
SOCKET_TIMEOUT_S = 1.0
CONNECTIONS_MAX = 32  # a waiting client costs a call a second, not a connection
_VIEW = (
    *("state", "principal", "exchange", "version", "record", "hops", "settled_index", "outcome"),
    *("proposal", "deciding_us", "justification"),
)

KeysOf = Callable[[str, str], Awaitable[ExchangeKeys]]
"""From principal and exchange to the exchange's keys; raises LedgerUnavailable."""


def connect(url: str) -> Redis:
    """A client that gives up within a second and never repeats a command by itself."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS_MAX,
        timeout=SOCKET_TIMEOUT_S,
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=SOCKET_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[],
        retry_on_timeout=False,
    )
    return Redis.from_pool(pool)


class RedisHoldStore:
    """One instance a worker. `open` before use, `close` at the end."""

    def __init__(
        self,
        client: Redis,
        keys_of: KeysOf,
        limits: HoldLimits,
        reapply: Callable[[RedisHoldStore], Awaitable[None]],
    ) -> None:
        """`reapply` restores what the ledger knows; it runs each time the server began anew."""
        self._client = client
        self._keys_of = keys_of
        self._limits = limits
        self._wakeups = Wakeups(client, CHANNEL)
        self._desk = RedisReviewDesk(client, f"{TAG}:desk:", CHANNEL, limits.care)
        self._paces = Paces(client, f"{TAG}:pace:")
        self._scripts = GatedScripts(client, f"{TAG}:applied", f"{TAG}:gate", lambda: reapply(self))

    @property
    def desk(self) -> RedisReviewDesk:
        """See HoldStore."""
        return self._desk

    def open(self) -> None:
        """Start listening for wake-ups."""
        self._wakeups.start()

    async def close(self) -> None:
        """Stop listening and drop all connections."""
        await self._wakeups.stop()
        await self._scripts.close()
        await self._client.aclose()

    # -- filing

    async def reserve(self, place: Place, size: int, expected_s: float = 0) -> Reservation:
        """See HoldStore."""
        limits = self._limits
        reply = await self._run(
            "reserve",
            place.hold,
            *(place.join, place.body, size, limits.total_bytes_max, _us(place.rejoin_s), HOLDS),
            *(_us(expected_s), place.sharer, limits.share_max, limits.share_bytes_max),
            join=place.join,
        )
        standing, held = _words(reply)
        if standing == "mismatch":
            message = (
                "This Idempotency-Key was used with another body. Use a new key for a new request."
            )
            raise Mismatch(message, param="Idempotency-Key")
        if standing == "full":
            raise _full()
        if standing == "share":
            message = (
                "As many of your requests wait already as one person may have waiting, or as large "
                "ones. Nothing was sent. Withdraw some, or ask again when some have been answered."
            )
            raise LimitReached(message, code="hold_share_full", retry_after_s=None)
        return Reservation(standing, held)

    async def file(self, hold: Hold, join: str) -> None:
        """See HoldStore."""
        fields = await self._fields(hold)
        pointer_s = (hold.expires_us - hold.created_us) / 1e6 + self._limits.keep_answer_s
        args = (join, hold.content_bytes, hold.expires_us, int(pointer_s * 1000), *fields)
        await self._run("file", hold.id, *args, join=join)

    async def drop(self, hold_id: str, join: str) -> None:
        """See HoldStore."""
        await self._run("drop", hold_id, join, join=join)

    # -- reading

    async def waits(self, join: str) -> str:
        """See HoldStore."""
        return _text(await self._run("waits", "", HOLDS, join=join))

    async def get(self, hold_id: str) -> HoldView | None:
        """See HoldStore."""
        values, reviews, read_us = await self._run("read", hold_id, "1", *_VIEW)
        row: dict[str, bytes | None] = dict(zip(_VIEW, values, strict=True))
        if row["state"] is None:
            return None
        principal, exchange = _text(row["principal"]), _text(row["exchange"])
        keys = await self._keys_of(principal, exchange)
        view = hold_content.open_view(hold_id, keys.content, row, reviews)
        return replace(view, read_us=int(read_us))

    async def state(self, hold_id: str) -> str | None:
        """See HoldStore."""
        values, *_ = await self._run("read", hold_id, "0", "state")
        return None if values[0] is None else _text(values[0])

    async def woken(self, hold_id: str, timeout_s: float) -> None:
        """See HoldStore."""
        await self._wakeups.wait(hold_id, timeout_s)

    async def list_open(self, limit: int, principal: str | None = None) -> Sequence[HoldCard]:
        """See HoldStore."""
        rows = await self._run("list", "", HOLDS, limit, principal or "")
        return [
            record.decode_card(
                card,
                _text(state),
                justified=why == b"1",
                open_step=int(step),
                read_us=int(read_us),
            )
            for state, card, why, step, read_us in rows
        ]

    async def now_us(self) -> int:
        """See HoldStore."""
        return await self._scripts.time_us()

    # -- deciding

    async def propose(self, proposal: Proposal, hold: Hold) -> Taken:
        """See HoldStore."""
        if proposal.review is not None:
            # Here and not before the callers, so that no route, page or command goes around it.
            await self._desk.admit(proposal.review, hold, proposal.id)
        keys = await self._keys_of(hold.principal, hold.exchange)
        sealed = hold_content.seal_proposal(keys.content, proposal)
        person = proposal.review.person if proposal.review else proposal.actor
        if proposal.kind is ProposalKind.EXPIRE:
            person = ""
        reviewer = proposal.review.reviewer if proposal.review else person
        args = (proposal.id, proposal.kind.value, proposal.version, proposal.binding, person)
        finish_us = _us(self._limits.finish_s)
        reply = await self._run(
            "propose", hold.id, *args, sealed, proposal.origin, finish_us, reviewer, _step(proposal)
        )
        standing = _text(reply[0])
        if standing == "done":
            return Taken(done=True, proposal=proposal)
        if standing == "mine":
            kept = hold_content.open_proposal(
                keys.content, hold.id, hold.version, reply[2], int(reply[1])
            )
            return Taken(done=False, proposal=kept)
        raise _refusal(standing)

    async def settle(
        self, proposal: Proposal, hold: Hold, state: HoldState, origin: str, index: int
    ) -> str:
        """See HoldStore."""
        keys = await self._keys_of(hold.principal, hold.exchange)
        review, why = proposal.review, proposal.justification
        sealed = hold_content.seal_review(keys.content, review) if review else b""
        reason = hold_content.seal_justification(keys.content, why) if why else b""
        limits = self._limits
        times = (_us(limits.execution_expiry_s), _us(limits.keep_answer_s))
        args = (proposal.id, state.value, proposal.version, review.person if review else "")
        new = proposal.revised
        version: list[Argument] = (
            [""] if new is None else [new.content_bytes, *await self._fields(new)]
        )
        opens = await self._opened_by(review, hold, state)
        last = (origin, index, *times, review.reviewer if review else "", reason, opens, *version)
        reply = _words(await self._run("settle", hold.id, *args, sealed, *last))
        if reply[0] == "ok":
            if (
                not hold.seed
                and review is not None
                and state in {HoldState.APPROVED, HoldState.DENIED}
            ):
                await self._paces.took(hold, review.at_us)
            return reply[1]
        raise _refusal("missing" if reply[0] == "missing" else "closed")

    async def _opened_by(self, review: Review | None, hold: Hold, state: HoldState) -> Argument:
        """The step that is open after `review`, which leaves the hold in `state`; '' where it is
        the same as ever.
        """
        if review is None or state is not HoldState.PENDING or not steps.ordered(hold.thresholds):
            return ""
        view = await self.get(hold.id)
        given = () if view is None else steps.of_version(view)
        before = [one for one in given if one.id != review.id]
        return steps.open_step(hold.thresholds, [*before, review])

    async def lately(self, reviewers: Sequence[str]) -> Mapping[str, Pace]:
        """See HoldStore."""
        return await self._paces.lately(reviewers)

    # -- sending

    async def claim(self, hold_id: str, worker: str) -> Hold | None:
        """See HoldStore."""
        # Read before the claim: content that cannot be opened must not cost the approval.
        view = await self.get(hold_id)
        if view is None or view.hold.seed:
            return None  # of a test item there is nothing to send
        keys = await self._keys_of(view.hold.principal, view.hold.exchange)
        if not is_bound(view.hold, keys.commit):
            message = "The stored hold is not what was approved. Nothing was sent."
            raise HoldStoreUnavailable(message, code="hold_unreadable")
        limits = self._limits
        reply = await self._run(
            "claim",
            hold_id,
            *(worker, _us(limits.lease_s), limits.answer_bytes_max),
            *(limits.total_bytes_max, _us(limits.keep_answer_s), view.hold.version),
        )
        standing = _text(reply[0])
        if standing == "full":
            raise _full()
        return view.hold if standing == "ok" else None

    async def renew(self, hold_id: str, worker: str) -> bool:
        """See HoldStore."""
        return await self._said("renew", hold_id, worker, _us(self._limits.lease_s))

    async def finish(self, hold_id: str, worker: str, answer: StoredAnswer) -> bool:
        """See HoldStore."""
        place = await self._place(hold_id)
        if place is None:
            return False
        key, version = place
        sealed = hold_content.seal_answer(key, hold_id, version, answer)
        return await self._end(hold_id, worker, HoldState.READY, "", sealed)

    async def fail(self, hold_id: str, worker: str, cause: str) -> bool:
        """See HoldStore."""
        return await self._end(hold_id, worker, HoldState.FAILED, cause, b"")

    async def answer(self, hold_id: str) -> StoredAnswer | None:
        """See HoldStore."""
        values, *_ = await self._run("read", hold_id, "0", "answer")
        place = await self._place(hold_id)
        if values[0] is None or place is None:
            return None
        key, version = place
        return hold_content.open_answer(key, hold_id, version, values[0])

    async def deliver(self, hold_id: str) -> bool:
        """See HoldStore."""
        return await self._said("deliver", hold_id, _us(self._limits.keep_answer_s))

    async def hop(self, hold_id: str) -> bool:
        """See HoldStore."""
        return await self._said("hop", hold_id, self._limits.hops_max, idempotent=False)

    # -- sweeping and rebuilding

    async def due(self, limit: int, orphan_s: float) -> Due:
        """See HoldStore."""
        rows, members = await self._run("due", "", HOLDS, limit, _us(orphan_s))
        orphans = [_text(member).split("|", 1) for member in members]
        return Due(
            holds=[
                (_text(one), _text(state), _text(origin), alone == b"1")
                for one, state, origin, alone in rows
            ],
            orphans=[(hold_id, join) for hold_id, join in orphans],
        )

    async def lose(self, hold_id: str) -> bool:
        """See HoldStore."""
        return await self._said("lose", hold_id, _us(self._limits.keep_answer_s))

    async def forget(self, hold_id: str) -> bool:
        """See HoldStore."""
        return await self._said("forget", hold_id)

    async def restore(self, restoration: Restoration) -> str:
        """See HoldStore."""
        hold = restoration.hold
        keys = await self._keys_of(hold.principal, hold.exchange)
        reviews: list[Argument] = [len(restoration.reviews)]
        for decision_id, review in restoration.reviews:
            sealed = hold_content.seal_review(keys.content, review)
            reviews += [review.person, review.reviewer, decision_id, sealed]
        why = restoration.justification
        reason = hold_content.seal_justification(keys.content, why) if why else b""
        index = restoration.settled_index
        execute_until_us = restoration.settled_us + _us(self._limits.execution_expiry_s)
        args: tuple[Argument, ...] = (
            *(hold.id, CHANNEL, restoration.snapshot_us, restoration.state.value),
            *(
                hold.content_bytes,
                hold.expires_us,
                _us(self._limits.keep_answer_s),
                execute_until_us,
            ),
            *(restoration.settled_by, restoration.origin, "" if index is None else index),
            *(restoration.outcome, hold.version, restoration.justified_by, reason),
            steps.open_step(hold.thresholds, [one for _, one in restoration.reviews]),
            *(*reviews, *await self._fields(hold)),
        )
        reply = await self._scripts.run_ungated("restore", _keys(hold.id, ""), args)
        return _text(reply[1])

    # -- within and beside

    async def _fields(self, hold: Hold) -> list[Argument]:
        """The fields of a new hold as the script writes them, names and values in turn."""
        keys = await self._keys_of(hold.principal, hold.exchange)
        fields: dict[str, Argument] = {
            "version": hold.version,
            "binding": hold.binding,
            "principal": hold.principal,
            "person": hold.behind,
            "exchange": hold.exchange,
            "stage": hold.stage,
            "expires_us": hold.expires_us,
            "wait_until_us": hold.wait_until_us,
            "open_step": steps.open_step(hold.thresholds, ()),
            "card": record.encode_card(hold),
            "record": hold_content.seal_hold(keys.content, hold),
        }
        if hold.starts_alone:
            fields["starts_us"] = hold.created_us
        return [part for pair in fields.items() for part in pair]

    async def _place(self, hold_id: str) -> tuple[bytes, int] | None:
        """The content key and version of a hold."""
        values, *_ = await self._run("read", hold_id, "0", "principal", "exchange", "version")
        if values[0] is None:
            return None
        keys = await self._keys_of(_text(values[0]), _text(values[1]))
        return keys.content, int(values[2])

    async def _end(
        self, hold_id: str, worker: str, state: HoldState, cause: str, sealed: bytes
    ) -> bool:
        keep_us = _us(self._limits.keep_answer_s)
        return await self._said("finish", hold_id, worker, state.value, cause, sealed, keep_us)

    async def _said(
        self, name: str, hold_id: str, *args: Argument, idempotent: bool = True
    ) -> bool:
        reply = await self._run(name, hold_id, *args, idempotent=idempotent)
        return _text(reply[0]) == "ok"

    async def run_beside(self, name: str, *args: Argument) -> Any:
        """The answer of a script about what is kept beside holds, behind the same gate.

        Raises HoldStoreUnavailable within 2 s.
        """
        return await self._run(name, "", *args)

    async def _run(
        self, name: str, hold_id: str, *args: Argument, join: str = "", idempotent: bool = True
    ) -> Any:
        args = (hold_id, CHANNEL, *args)
        return await self._scripts.run(name, _keys(hold_id, join), args, idempotent=idempotent)


def _keys(hold_id: str, join: str) -> tuple[str, ...]:
    shared = (f"{TAG}:{name}" for name in ("applied", "due", "open", "bytes", "filing"))
    return (*shared, HOLDS + hold_id, f"{TAG}:join:{join}", f"{TAG}:tell")


def _step(proposal: Proposal) -> Argument:
    """The step that was read by whoever answers or edits; '' where it is nothing to them."""
    if proposal.review is not None:
        return proposal.review.step
    edits = proposal.kind is ProposalKind.EDIT and proposal.revised is not None
    return proposal.revised.edit_step if edits and proposal.revised else ""


def _us(seconds: float) -> int:
    return int(seconds * 1_000_000)


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode()


def _words(reply: Sequence[bytes]) -> list[str]:
    return [word.decode() for word in reply]


def _full() -> HoldStoreUnavailable:
    message = "Too much is waiting for review at the moment. Nothing was sent; try again later."
    return HoldStoreUnavailable(message, code="hold_store_full")


_REFUSALS: dict[str, tuple[type[Conflict | Forbidden | NotFound], str, str]] = {
    "missing": (NotFound, "not_found", "There is no such hold."),
    "self": (Forbidden, "self_approval", "Nobody reviews their own request."),
    "stranger": (NotFound, "not_found", "There is no such hold."),
    "busy": (Conflict, "busy", "Another decision on this hold is being recorded. Try again."),
    "closed": (Conflict, "already_decided", "This hold has been decided already."),
    "again": (
        Conflict,
        "already_reviewed",
        "You, or whoever you stand in for, have reviewed this hold already.",
    ),
    "binding": (
        Conflict,
        "binding_mismatch",
        "The hold is not what you were shown any more. Read it again before you decide.",
    ),
    "turn": (
        Conflict,
        "not_your_turn",
        "Another step opened meanwhile. Read the hold again, and what was said, before you decide.",
    ),
    "late": (Conflict, "hold_expired", "The time to decide this hold is over."),
    "early": (Conflict, "not_due", "This hold has not expired yet."),
}


def _refusal(standing: str) -> Conflict | Forbidden | NotFound:
    kind, code, message = _REFUSALS[standing]
    return kind(message, code=code)
