"""The steps of a hold: in which order its reviewers are asked, and where it stands.

    step 1 has its approvals --> step 2 opens --> ... the last has them: approved

A threshold stands at a step. Its reviewers are asked when all steps before have their approvals,
and until then nobody answers in their name. A review counts at the step that was open when it was
given, and at no other: whoever looks second is another person, and knows what the first one said.
The open step follows from the reviews of the version alone, in the order of the ledger, so whoever
replays them finds the same (`sekisho_audit.thresholds` does, on its own).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sekisho.model.decision import FIRST_STEP, Threshold
from sekisho.model.hold import HoldView, Review

APPROVE = "approve"
DENY = "deny"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: who is asked at it, and what was answered while it was open. `full`: all who are
    asked have approved.
    """

    number: int
    thresholds: tuple[Threshold, ...]
    reviews: tuple[Review, ...] = ()
    full: bool = False

    @property
    def denied(self) -> bool:
        """Whether as many deny as end it."""
        said = [one.counts_for for one in self.reviews if one.decision == DENY]
        return any(
            sum(asked.reviewers in counts_for for counts_for in said) >= max(asked.deny, 1)
            for asked in self.thresholds
        )


def replay(thresholds: Sequence[Threshold], reviews: Sequence[Review]) -> tuple[Step, ...]:
    """The steps after `reviews` of one version, in their order; all but the open one and those
    before it are empty.
    """
    steps = []
    opened = True
    for number in numbers(thresholds):
        asked = at(thresholds, number)
        given = tuple(one for one in reviews if opened and one.step == number)
        full = opened and _filled(asked, given)
        steps.append(Step(number, asked, given, full))
        opened = full
    return tuple(steps)


def current(steps: Sequence[Step]) -> Step | None:
    """The open one: the first that is not full, the last if all are."""
    return next((one for one in steps if not one.full), steps[-1] if steps else None)


def open_step(thresholds: Sequence[Threshold], reviews: Sequence[Review]) -> int:
    """The number of the open step after `reviews` of one version."""
    found = current(replay(thresholds, reviews))
    return FIRST_STEP if found is None else found.number


def steps_of(view: HoldView) -> tuple[Step, ...]:
    """The steps of a hold as it stands."""
    return replay(view.hold.thresholds, of_version(view))


def open_step_of(view: HoldView) -> int:
    """The number of the open step of a hold as it stands."""
    return open_step(view.hold.thresholds, of_version(view))


def of_version(view: HoldView) -> tuple[Review, ...]:
    """The reviews that count: those of the version that is there."""
    return tuple(one for one in view.reviews if one.version == view.hold.version)


def numbers(thresholds: Sequence[Threshold]) -> list[int]:
    """The steps that there are."""
    return sorted({one.step for one in thresholds})


def at(thresholds: Sequence[Threshold], number: int) -> tuple[Threshold, ...]:
    """Who is asked at a step."""
    return tuple(one for one in thresholds if one.step == number)


def ordered(thresholds: Sequence[Threshold]) -> bool:
    """Whether somebody is asked after somebody else."""
    return len(numbers(thresholds)) > 1


def _filled(thresholds: Sequence[Threshold], reviews: Sequence[Review]) -> bool:
    """Whether every seat has a person of its own (augmenting paths; both lists are short)."""
    seats = [one.reviewers for one in thresholds for _ in range(max(one.approve, 1))]
    approvals = [one.counts_for for one in reviews if one.decision == APPROVE]
    taken: dict[int, int] = {}

    def seat(person: int, tried: set[int]) -> bool:
        for number, reviewers in enumerate(seats):
            if number in tried or reviewers not in approvals[person]:
                continue
            tried.add(number)
            if number not in taken or seat(taken[number], tried):
                taken[number] = person
                return True
        return False

    return sum(seat(person, set()) for person in range(len(approvals))) >= len(seats)
