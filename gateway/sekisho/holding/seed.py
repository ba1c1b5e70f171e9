"""A test item: a hold that somebody made up, to see whether reviewers read what they approve.

To reviewers it is a hold like any other, in every list, page and stream, until it is over; then
they are told. Behind it there is no request, and nothing of it can ever be sent:

- in the ledger it is no `hold.filed` but a `hold.seeded`, under which no intent is accepted;
- it never becomes `approved`: approvals that would have let it go take it back (`tally.standing`);
- the store hands its bytes to nobody who claims it.

Its principal is made up as well, so that nobody is said to have asked what they did not; whoever
made it up reviews it as little as a requester would. Its text was looked through as that of any
request, so the page shows what was found in it. Who makes one up is in seed_desk.py.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from sekisho.content.scan import Scanner
from sekisho.holding import names
from sekisho.holding.terms import times
from sekisho.model.decision import HoldTerms
from sekisho.model.hold import Hold, HoldState, HoldView
from sekisho.model.ids import uuid7
from sekisho.model.office import Office
from sekisho.model.principal import Principal
from sekisho.model.steps import APPROVE
from sekisho.obligations import redact

ENDPOINT = "chat.completions"
BEFORE_MS_MAX = 15  # at most so long before its hold a request has come; mostly it is less


@dataclass(frozen=True, slots=True)
class Seed:
    """What somebody made up. `rule` is what it should be denied for. Reviewers are told that
    `rules` held it, which say `messages`; `redact` are the kinds that rules mask, `notify` the
    channels that they name; `revision` is that of the rules in force.
    """

    principal: str
    text: str
    model: str
    backend: str
    rule: str
    rules: tuple[str, ...]
    messages: tuple[str, ...]
    terms: HoldTerms
    revision: str
    redact: Sequence[str] = ()
    notify: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """What a test item was, once people's answers ended it: denied (`caught`), or approved."""

    rule: str
    caught: bool


def found(view: HoldView) -> Found | None:
    """What it was, for whoever may see it, once people's answers ended it; None before, where they
    did not, and for every other hold.
    """
    approved = any(one.decision == APPROVE for one in view.reviews)
    caught, missed = view.state is HoldState.DENIED, view.state is HoldState.WITHDRAWN and approved
    return Found(view.hold.seed, caught=caught) if view.hold.seed and (caught or missed) else None


def made_up(
    seeder: Principal, seed: Seed, scanner: Scanner, *, office: Office, now_us: int
) -> Hold:
    """The hold that reviewers see, unbound. Raises BadRequest for a text that cannot be scanned."""
    parsed = {"model": seed.model, "messages": [{"role": "user", "content": seed.text}]}
    scan = scanner.scan(parsed)
    masked = redact.apply(parsed, seed.redact, scan.found)
    # What the page reads of the facts of a request; nothing is decided by those of a test item.
    facts = {"stage": "request", "content": scan.facts(scan.labels)}
    hold_id, terms = names.new_hold_id(), seed.terms
    return Hold(
        id=hold_id,
        exchange=_exchange_before(hold_id),
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
        rules=seed.rules,
        reasons=seed.messages,
        thresholds=terms.thresholds,
        risk=terms.risk,
        created_us=now_us,
        wait_until_us=now_us,
        binding="",
        outgoing=orjson.dumps(parsed if masked is None else masked),
        facts=orjson.dumps(facts),
        received_event="",
        notify=seed.notify,
        seed=seed.rule,
        seeded_by=seeder.person,
        **times(terms, now_us, office),
    )


def _exchange_before(hold_id: str) -> str:
    """An exchange as old as one whose request came before it was held: ids tell the time."""
    made_ms = int(hold_id.removeprefix("hold_")[:12], 16)
    most_ms = secrets.randbelow(BEFORE_MS_MAX + 1)  # drawn too, so that short times are frequent
    return uuid7(made_ms - secrets.randbelow(most_ms + 1))
