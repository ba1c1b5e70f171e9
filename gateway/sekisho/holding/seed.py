"""A test item: a hold that somebody made up, to see whether reviewers read what they approve.

To reviewers it is a hold like any other, in every list, page and stream, until it is over; then
they are told. Behind it there is no request, and nothing of it can ever be sent:

- in the ledger it is no `hold.filed` but a `hold.seeded`, under which no intent is accepted;
- it never becomes `approved`: approvals that would have let it go take it back (`tally.standing`);
- the store hands its bytes to nobody who claims it.

Its principal is made up as well, so that nobody is said to have asked what they did not; whoever
made it up reviews it as little as a requester would.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

import orjson

from sekisho.errors import BadRequest, Forbidden, HoldStoreUnavailable, SekishoError
from sekisho.holding import binding, evidence, names
from sekisho.model.decision import Threshold
from sekisho.model.hold import Hold, HoldState, HoldView, Place
from sekisho.model.ids import uuid7
from sekisho.model.principal import Principal
from sekisho.model.steps import APPROVE
from sekisho.ports import HoldStore, Ledger

ENDPOINT = "chat.completions"
_MICROS = 1_000_000


class People(Protocol):
    """Who may ask: the part of a directory that is needed here."""

    async def may_ask(self, principal: str) -> bool:
        """Whether there is such a principal. Raises DirectoryUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Seed:
    """What somebody made up. `rule` is the one that it should be denied for and that reviewers are
    told held it, `message` what that rule says; `revision` the rules in force.
    """

    principal: str
    text: str
    model: str
    backend: str
    rule: str
    message: str
    thresholds: tuple[Threshold, ...]
    risk: int
    ttl_s: float
    revision: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a test item was, once people's answers ended it: denied (`caught`), or approved."""

    rule: str
    caught: bool


async def plant(
    store: HoldStore,
    ledger: Ledger,
    people: People,
    seeder: Principal,
    seed: Seed,
) -> HoldView:
    """Put it before reviewers; it is in the ledger first.

    Raises Forbidden for a service account, BadRequest (`principal_exists`) for a name that is
    somebody's, Unavailable if a part is down.
    """
    if seeder.owner is not None:
        message = "A test item is made up by a person, not by a service account."
        raise Forbidden(message, code="self_approval")
    if seed.principal in seeder.persons or await people.may_ask(seed.principal):
        message = "That principal exists. Nobody is to be named for what they did not ask."
        raise BadRequest(message, param="principal", code="principal_exists")
    hold = _hold(seeder, seed, await store.now_us())
    keys = await ledger.exchange_keys(hold.principal, hold.exchange)
    hold = binding.bind(hold, keys.commit)
    # No request leads to it, so nothing is ever joined to it.
    join = hashlib.sha256(b"seed\0" + hold.id.encode()).hexdigest()
    await store.reserve(Place(hold.id, join, join), hold.content_bytes)
    try:
        await ledger.append([evidence.seeded(hold)])
    except SekishoError:
        await store.drop(hold.id, join)
        raise
    await store.file(hold, join)
    view = await store.get(hold.id)
    if view is None:
        raise HoldStoreUnavailable("The test item has just been removed. Make it up again.")
    return view


def found(view: HoldView) -> Found | None:
    """What it was, for whoever may see it, once people's answers ended it; None before, where they
    did not, and for every other hold.
    """
    approved = any(one.decision == APPROVE for one in view.reviews)
    caught, missed = view.state is HoldState.DENIED, view.state is HoldState.WITHDRAWN and approved
    return Found(view.hold.seed, caught=caught) if view.hold.seed and (caught or missed) else None


def _hold(seeder: Principal, seed: Seed, now_us: int) -> Hold:
    parsed = {"model": seed.model, "messages": [{"role": "user", "content": seed.text}]}
    return Hold(
        id=names.new_hold_id(),
        exchange=uuid7(),
        version=1,
        stage="request",
        principal=seed.principal,
        person=seed.principal,
        groups=(),
        roles=(),
        endpoint=ENDPOINT,
        model=seed.model,
        backend=seed.backend,
        stream=False,
        revision=seed.revision,
        rules=(seed.rule,),
        reasons=(seed.message,),
        thresholds=seed.thresholds,
        risk=seed.risk,
        created_us=now_us,
        expires_us=now_us + int(seed.ttl_s * _MICROS),
        wait_until_us=now_us,
        binding="",
        outgoing=orjson.dumps(parsed),
        facts=b"{}",
        received_event="",
        seed=seed.rule,
        seeded_by=seeder.person,
    )
