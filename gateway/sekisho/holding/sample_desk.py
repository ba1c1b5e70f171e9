"""Where people look at samples: what was drawn is shown, judged, and closed when it is decided.

    queue    what waits for one person: the oldest first, nothing they had a part in
    show     its content; that it is shown is on record before
    judge    one person's verdict; where two differ a third is asked
    sweep    closes what is decided or over, whoever noticed

The ledger judges every step once more (`sekisho_audit.sample_rules`). Nobody is shown what others
found before they have said it themselves; who asked is not told that they were drawn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from sekisho.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    LedgerRefused,
    NotFound,
    SekishoError,
    Unavailable,
)
from sekisho.holding import names
from sekisho.model import evidence
from sekisho.model.duties import seats
from sekisho.model.principal import Principal
from sekisho.model.samples import Content, Sample, SampleBook, SampleStore, Standing
from sekisho.ports import Clock, Ledger
from sekisho_audit.events import Event, Payload
from sekisho_audit.sample_rules import CONCERN, FINE, UNJUDGED

REASON_CHARS_MAX = 500
PART = "sample"
HOUR_US = 3_600 * 1_000_000
INTERVAL_S = 30.0
_LATE_US = 5_000_000  # the ledger's clock may be a little behind ours

_log = structlog.get_logger("sekisho.samples")


@dataclass(frozen=True, slots=True)
class Judged:
    """A sample after somebody's verdict; `outcome` and `by` once it is closed."""

    sample: Sample
    outcome: str = ""
    by: str = ""


class SampleDesk:
    """One a worker: `run` as a task. `reviewers` is the role or group of those who look."""

    def __init__(
        self, ledger: Ledger, book: SampleBook, store: SampleStore, clock: Clock, *, reviewers: str
    ) -> None:
        self._ledger = ledger
        self._book = book
        self._store = store
        self._clock = clock
        self.reviewers = reviewers

    def reviews(self, who: Principal) -> bool:
        """Whether they may look at samples at all: in their own right, not as a delegate."""
        return seats(who, self.reviewers) == (who.id,)

    async def queue(self, who: Principal) -> Sequence[Sample]:
        """What waits for `who`, the oldest first. Raises Forbidden, LedgerUnavailable."""
        self._check(who)
        now_us = self._clock.now_us()
        samples = (await self._book.samples()).samples
        return [
            one for one in samples if one.may_judge(who.persons) and one.waits_for(who.id, now_us)
        ]

    async def standing(self) -> Standing:
        """What the ledger says, figures included. Raises LedgerUnavailable."""
        return await self._book.samples()

    async def show(self, who: Principal, sample_id: str) -> tuple[Sample, Content | None]:
        """The sample and what is still there of its content. That it is shown is on record then.

        Raises Forbidden, NotFound, LedgerUnavailable, Unavailable.
        """
        sample = await self._find(who, sample_id)
        content = await self._store.get(sample)
        if content is not None:
            await self._note(who, sample)
        return sample, content

    async def judge(self, who: Principal, sample_id: str, verdict: str, reason: str) -> Judged:
        """Record what `who` found. Said again it is the same; a concern has a reason.

        Raises Forbidden, NotFound, BadRequest (`reason_required`), Conflict (`not_shown`,
        `already_reviewed`, `sample_over`), LedgerUnavailable.
        """
        said = reason.strip()
        if verdict not in (FINE, CONCERN):
            raise BadRequest("A verdict is `fine` or `concern`.", param="verdict")
        if len(said) > REASON_CHARS_MAX or (verdict == CONCERN and not said):
            message = f"A concern has a reason, of at most {REASON_CHARS_MAX} characters."
            raise BadRequest(message, param="reason", code="reason_required")
        sample = await self._find(who, sample_id)
        before = sample.said_by(who.id)
        if before is None:
            await self._record(who, sample, verdict, said)
            sample = await self._again(sample)
            before = sample.said_by(who.id)
        if before is not None and before.verdict != verdict:
            raise _said_before()
        return await self._closed(sample)

    async def run(self) -> None:
        """Close what is decided or over, about twice a minute, until cancelled."""
        while True:
            try:
                await self.sweep()
            except SekishoError as error:
                _log.warning("samples could not be looked through", code=error.code)
            await asyncio.sleep(INTERVAL_S)

    async def sweep(self) -> None:
        """One round. Raises LedgerUnavailable."""
        now_us = self._clock.now_us()
        for sample in (await self._book.samples()).samples:
            if sample.outcome is not None or now_us > sample.until_us + _LATE_US:
                await self._close(sample, sample.outcome or (UNJUDGED, "nobody"))

    def _check(self, who: Principal) -> None:
        if not self.reviews(who):
            message = f"Samples are looked at by {self.reviewers}, in their own right."
            raise Forbidden(message, code="not_eligible")

    async def _find(self, who: Principal, sample_id: str) -> Sample:
        """What this person may see: not told apart from what is not there are their own."""
        self._check(who)
        for one in (await self._book.samples()).samples:
            if one.id == sample_id and one.may_judge(who.persons):
                if one.said_by(who.id) or one.waits_for(who.id, self._clock.now_us()):
                    return one
                break
        raise NotFound("There is no such sample, or it is closed, or not yours to judge.")

    async def _note(self, who: Principal, sample: Sample) -> None:
        keys = await self._ledger.exchange_keys(sample.principal, sample.exchange)
        hour = str(self._clock.now_us() // HOUR_US)
        event = evidence.read(
            sample.exchange,
            sample.principal,
            who.id,
            purpose="review",
            part=PART,
            sample=sample.id,
            event_id=evidence.keyed_id(keys.commit, "sample-shown", who.id, sample.id, hour),
        )
        await self._append(event)

    async def _record(self, who: Principal, sample: Sample, verdict: str, reason: str) -> None:
        keys = await self._ledger.exchange_keys(sample.principal, sample.exchange)
        content = reason.encode()
        event = Event(
            id=evidence.keyed_id(keys.commit, "sample-judged", sample.id, who.id),
            type="sample.judged",
            exchange=sample.exchange,
            principal=sample.principal,
            actor=who.id,
            data={"sample": sample.id, "verdict": verdict, "counts_for": self.reviewers},
            payloads=(Payload("reason", content, content),) if content else (),
        )
        await self._append(event)

    async def _again(self, sample: Sample) -> Sample:
        """As it stands now; as it was if somebody closed it meanwhile."""
        standing = (await self._book.samples()).samples
        return next((one for one in standing if one.id == sample.id), sample)

    async def _closed(self, sample: Sample) -> Judged:
        if sample.outcome is None:
            return Judged(sample)
        await self._close(sample, sample.outcome)
        return Judged(sample, *sample.outcome)

    async def _close(self, sample: Sample, outcome: tuple[str, str]) -> None:
        found, by = outcome
        data = {"sample": sample.id, "outcome": found, "by": by}
        told = names.sample_closed(sample.id)
        event = Event(told, "sample.closed", sample.exchange, sample.principal, data)
        with suppress(LedgerRefused):  # somebody judged or closed it just now; else the next round
            await self._ledger.append([event])
            with suppress(Unavailable):  # it ends by itself after its days
                await self._store.drop(sample.id)

    async def _append(self, event: Event) -> None:
        try:
            await self._ledger.append([event])
        except LedgerRefused as error:
            match error.code:
                case "second_review":
                    raise _said_before() from error
                case "sample_over":
                    message = "Enough people have judged this, or its time is over."
                    raise Conflict(message, code="sample_over") from error
                case "unseen_verdict":
                    message = "Look at it first: nobody judges what they were not shown."
                    raise Conflict(message, code="not_shown") from error
                case "self_review":
                    message = "You had a part in this. Somebody else judges it."
                    raise Forbidden(message, code="self_approval") from error
                case "unknown_sample" | "erased_name":
                    raise NotFound("There is no such sample any more.") from error
            raise


def _said_before() -> Conflict:
    return Conflict("You have judged this before, otherwise.", code="already_reviewed")
