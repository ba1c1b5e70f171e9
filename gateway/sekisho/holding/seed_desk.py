"""Where test items are made up, like what the rules really hold in all that reviewers can see.

like       the newest open hold of the same rule gives the terms that were not named
check      rule, backend and model are there: a name that nothing has would tell what it is
keep       bound, in the ledger, then before reviewers
count      as a hold of a request is counted: metrics are read without a key
wait       as the client of a request does, which is seen in them too
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import Protocol

from sekisho.content.entities import KINDS
from sekisho.content.scan import Scanner
from sekisho.errors import (
    BadRequest,
    Forbidden,
    HoldStoreUnavailable,
    PolicyUnavailable,
    SekishoError,
)
from sekisho.holding import binding, evidence
from sekisho.holding.granting import Rules
from sekisho.holding.queue import SCANNED_MAX
from sekisho.holding.seed import Seed, made_up
from sekisho.model.catalog import Catalog
from sekisho.model.decision import HoldTerms, Threshold
from sekisho.model.hold import WAITING, Hold, HoldCard, HoldView, Place
from sekisho.model.office import Office
from sekisho.model.principal import Principal, Role
from sekisho.ports import HoldStore, Ledger

RISK_USUAL = 50  # as the shipped rules have it, like the next one
TTL_S_USUAL = 86_400
_MICROS = 1_000_000
_LOOK_S = 1.0  # as often as who waits for people looks


class People(Protocol):
    """Who may ask: the part of a directory that is needed here."""

    async def may_ask(self, principal: str) -> bool:
        """Whether there is such a principal. Raises DirectoryUnavailable."""
        ...

    async def anybody_in(self, reviewers: str, but: Collection[str]) -> bool:
        """Whether somebody else than `but` has this role or group. Raises DirectoryUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What an operator or auditor names. None: as the newest open hold of the rule has it. `also`
    are further rules that seem to have held it, with what they say.
    """

    principal: str
    text: str
    rule: str
    message: str
    model: str | None = None
    backend: str | None = None
    reviewers: str | None = None
    approve: int | None = None
    deny: int | None = None
    risk: int | None = None
    ttl_s: int | None = None
    office_time: bool | None = None
    redact: tuple[str, ...] = ()
    also: tuple[tuple[str, str], ...] = ()

    @property
    def said(self) -> dict[str, str]:
        """What each rule says, by its name."""
        return {self.rule: self.message, **dict(self.also)}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a made-up request is made to fit: the rules in force with their revision and words, the
    backends, the office. `counted` is called for each one that is put before reviewers; `waiting`
    counts what is under way as long as it is open, `wait_s` is how long a client waits.
    """

    rules: Rules
    revision: Callable[[], str]
    scanner: Scanner
    catalog: Catalog
    office: Office
    ttl_s_max: int
    counted: Callable[[], None]
    waiting: Callable[[], AbstractContextManager[object]] = nullcontext
    wait_s: float = 0


class SeedDesk:
    """One a worker."""

    def __init__(
        self, store: HoldStore, ledger: Ledger, people: People, around: Surroundings
    ) -> None:
        self._store, self._ledger, self._people = store, ledger, people
        self._around = around
        self._clients: set[asyncio.Task[None]] = set()

    async def plant(self, seeder: Principal, asked: Asked) -> HoldView:
        """Put it before reviewers; it is in the ledger first.

        Raises Forbidden for a service account, BadRequest for what reviewers would see through
        (`principal_exists` for a name that is somebody's), Unavailable if a part is down.
        """
        if seeder.owner is not None:
            message = "A test item is made up by a person, not by a service account."
            raise Forbidden(message, code="self_approval")
        if asked.principal in seeder.persons or await self._people.may_ask(asked.principal):
            message = "That principal exists. Nobody is to be named for what they did not ask."
            raise BadRequest(message, param="principal", code="principal_exists")
        self._check(asked)
        seed = self._filled(asked, await self._newest(asked))
        await self._check_reviewers(seeder, seed)
        around, now_us = self._around, await self._store.now_us()
        hold = made_up(seeder, seed, around.scanner, office=around.office, now_us=now_us)
        view = await self._keep(hold)
        around.counted()
        if around.wait_s > 0:
            client = asyncio.create_task(self._wait(hold.id))
            self._clients.add(client)
            client.add_done_callback(self._clients.discard)
        return view

    async def _wait(self, hold_id: str) -> None:
        """As long as it waits for people, and no client gives up."""
        with self._around.waiting(), suppress(SekishoError, TimeoutError):
            async with asyncio.timeout(self._around.wait_s):
                while True:
                    view = await self._store.get(hold_id)
                    if view is None or view.state not in WAITING:
                        return
                    await asyncio.sleep(_LOOK_S)

    async def _check_reviewers(self, seeder: Principal, seed: Seed) -> None:
        """Raises BadRequest where nobody but who makes it up could answer."""
        for reviewers in dict.fromkeys(one.reviewers for one in seed.terms.thresholds):
            if not await self._people.anybody_in(reviewers, seeder.persons):
                message = (
                    f"Nobody else is known who is in {reviewers!r}, so nobody would see it. Name a "
                    "role or group that somebody has; groups of sign-ins are known after the first."
                )
                raise BadRequest(message, param="reviewers")

    async def _keep(self, hold: Hold) -> HoldView:
        keys = await self._ledger.exchange_keys(hold.principal, hold.exchange)
        hold = binding.bind(hold, keys.commit)
        # No request leads to it, so nothing is ever joined to it.
        join = hashlib.sha256(b"seed\0" + hold.id.encode()).hexdigest()
        await self._store.reserve(Place(hold.id, join, join), hold.content_bytes)
        try:
            await self._ledger.append([evidence.seeded(hold)])
        except SekishoError:
            await self._store.drop(hold.id, join)
            raise
        await self._store.file(hold, join)
        view = await self._store.get(hold.id)
        if view is None:
            raise HoldStoreUnavailable("The test item has just been removed. Make it up again.")
        return view

    def _check(self, asked: Asked) -> None:
        known = self._around.rules()
        if known is None:
            raise PolicyUnavailable("The rules are not loaded. Try again in a moment.")
        for rule in asked.said:
            if rule not in known:
                message = f"No such rule is in force: {rule!r}. A hold names those that held it."
                raise BadRequest(message, param="rule" if rule == asked.rule else "also")
        if len(asked.said) <= len(asked.also):
            raise BadRequest("A rule is named twice. Each holds once.", param="also")
        unknown = sorted(set(asked.redact) - KINDS)
        if unknown:
            message = f"A scan finds nothing of the kind {unknown[0]!r}."
            raise BadRequest(message, param="redact")

    async def _newest(self, asked: Asked) -> HoldCard | None:
        """The newest real request that waits because of these rules."""
        alike = [
            card
            for card in await self._store.list_open(SCANNED_MAX)
            if set(asked.said) <= set(card.rules)
            and card.stage == "request"
            and card.thresholds
            and not card.seeded_by
        ]
        return max(alike, key=lambda card: (card.created_us, card.id), default=None)

    def _filled(self, asked: Asked, like: HoldCard | None) -> Seed:
        model, backend = self._reached(asked, like)
        rules = [one for one in dict.fromkeys(like.rules) if one in asked.said] if like else []
        rules = rules or sorted(asked.said)
        return Seed(
            principal=asked.principal,
            text=asked.text,
            model=model,
            backend=backend,
            rule=asked.rule,
            rules=tuple(rules),
            messages=tuple(dict.fromkeys(asked.said[rule] for rule in rules)),
            terms=_terms(asked, like, self._around.ttl_s_max),
            revision=self._around.revision(),
            redact=asked.redact,
            notify=like.notify if like else (),
        )

    def _reached(self, asked: Asked, like: HoldCard | None) -> tuple[str, str]:
        """Model and backend. Raises BadRequest if that one does not offer it."""
        catalog = self._around.catalog
        model = asked.model or (like.model if like else "")
        if not model:
            message = "Name a model: no request that this rule held waits, to take it from."
            raise BadRequest(message, param="model")
        serves = catalog.backend_for(model)
        named = asked.backend or (like.backend if like and not asked.model else "")
        chosen = named or (serves.id if serves else "")
        backend = next((one for one in catalog.backends if one.id == chosen), None)
        if named and backend is None:
            there = ", ".join(sorted(one.id for one in catalog.backends))
            message = f"There is no such backend. There are: {there}."
            raise BadRequest(message, param="backend")
        if backend is None or not backend.offers(model):
            message = "No request goes there: the backend does not offer this model."
            raise BadRequest(message, param="model")
        return model, backend.id


def _terms(asked: Asked, like: HoldCard | None, ttl_s_max: int) -> HoldTerms:
    """On which terms people are asked: what was named, else as `like` has it, else as shipped."""
    thresholds = like.thresholds if like else ()
    named = any(one is not None for one in (asked.reviewers, asked.approve, asked.deny))
    if named or not thresholds:
        reviewers = asked.reviewers or Role.REVIEWER.value
        thresholds = (Threshold(reviewers, asked.approve or 1, asked.deny or 1),)
    ttl_s, risk, office_time = TTL_S_USUAL, RISK_USUAL, False
    if like is not None:
        risk, office_time = like.risk, bool(like.office_s)
        ttl_s = like.office_s or max(1, (like.expires_us - like.created_us) // _MICROS)
    return HoldTerms(
        stage="request",
        thresholds=thresholds,
        ttl_s=min(ttl_s if asked.ttl_s is None else asked.ttl_s, ttl_s_max),
        risk=risk if asked.risk is None else asked.risk,
        office_time=office_time if asked.office_time is None else asked.office_time,
    )
