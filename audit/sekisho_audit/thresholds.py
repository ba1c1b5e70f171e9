"""Whether the reviews of a hold are enough to approve it; pure, shared by writer and verifier.

Any threshold whose denials are reached stands against an approval, whoever cites what. All
thresholds must have their approvals, and one person counts for one of them only: two people asked
for are two people. `sekisho.holding.tally` decides by the same rules before anything is written.

The book lets no two reviews share a person, neither as reviewer nor as whose seat it was, so here
each review is one human being.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Leaf = Mapping[str, Any]
# Obligations are any document. Reviews that do not read were asked for all the same: as no hold
# can have these, none will do.
UNREADABLE: Sequence[Leaf] = ({},)


def people(review: Leaf) -> frozenset[str]:
    """Pseudonyms behind a review: who spoke, and in whose name if that is somebody else."""
    return frozenset(filter(None, (review["actor"], review["data"].get("person"))))


def objection(thresholds: Sequence[Leaf], reviews: Sequence[Leaf]) -> str | None:
    """The threshold whose denials are reached by any of `reviews`, as a sentence, or None."""
    denying = [review for review in reviews if review["data"]["decision"] == "deny"]
    for threshold in thresholds:
        group, need = threshold["reviewers"], max(threshold["deny"], 1)
        have = sum(_counts_for(review, group) for review in denying)
        if have >= need:
            return f"{have} reviews by {group} deny it, {need} are enough"
    return None


def missing(thresholds: Sequence[Leaf], cited: Sequence[Leaf]) -> str | None:
    """What the cited reviews lack for an approval, or None."""
    approving = [review for review in cited if review["data"]["decision"] == "approve"]
    for threshold in thresholds:
        group, need = threshold["reviewers"], threshold["approve"]
        have = sum(_counts_for(review, group) for review in approving)
        if have < need:
            return f"{need} approving reviews by {group} are required, {have} are there"
    need = sum(threshold["approve"] for threshold in thresholds)
    # Only now is the number of seats known to be at most that of reviews, for each threshold.
    seats = [t["reviewers"] for t in thresholds for _ in range(t["approve"])]
    have = _seated(seats, approving)
    if have < need:
        return f"{need} people are required, each for one threshold; {have} can be counted"
    return None


def covered(asked: object, given: Sequence[Leaf]) -> bool:
    """Whether reviews collected for `given` are enough for what is asked now: the same groups with
    as many approvals or fewer. What does not read as thresholds is never covered.
    """
    if not isinstance(asked, (list, tuple)):
        return False
    had = {threshold["reviewers"]: threshold["approve"] for threshold in given}
    for threshold in asked:
        if not isinstance(threshold, dict):
            return False
        group, need = threshold.get("reviewers"), threshold.get("approve")
        if not isinstance(group, str) or type(need) is not int or need > had.get(group, 0):
            return False
    return True


def merged(one: Sequence[Leaf] | None, other: Sequence[Leaf] | None) -> Sequence[Leaf] | None:
    """The reviews that satisfy both: of the same reviewers the most approvals, the fewest denials.

    None where nothing was told, `UNREADABLE` where either does not read.
    """
    if one is None or other is None:
        return other if one is None else one
    told = _by_group(one), _by_group(other)
    if told[0] is None or told[1] is None:
        return UNREADABLE
    found = dict(told[0])
    for group, (approve, deny) in told[1].items():
        had = found.get(group, (approve, deny))
        found[group] = max(had[0], approve), min(had[1], deny)
    return [
        {"reviewers": group, "approve": approve, "deny": deny}
        for group, (approve, deny) in found.items()
    ]


def strict(asked: Sequence[Leaf], given: Sequence[Leaf]) -> bool:
    """Whether `given` asks of everybody in `asked` for as many approvals or more, and ends with as
    few denials or fewer. What does not read as thresholds is never met.
    """
    wanted, had = _by_group(asked), _by_group(given)
    if wanted is None or had is None:
        return False
    return all(
        group in had and had[group][0] >= approve and had[group][1] <= deny
        for group, (approve, deny) in wanted.items()
    )


def _by_group(thresholds: Sequence[Leaf]) -> dict[str, tuple[int, int]] | None:
    """Approvals and denials by group, None if it does not read. Who is named twice is asked twice:
    each review fills one place only.
    """
    found: dict[str, tuple[int, int]] = {}
    for threshold in thresholds:
        if not isinstance(threshold, dict):
            return None
        group, approve, deny = (threshold.get(name) for name in ("reviewers", "approve", "deny"))
        if not isinstance(group, str) or type(approve) is not int or type(deny) is not int:
            return None
        if approve < 1:
            return None
        had = found.get(group, (0, deny))
        found[group] = had[0] + approve, max(min(had[1], deny), 1)
    return found


def _counts_for(review: Leaf, group: str) -> bool:
    """A review that names no groups counts for any."""
    return group in review["data"].get("counts_for", (group,))


def _seated(seats: Sequence[str], reviews: Sequence[Leaf]) -> int:
    """How many seats can have a person of their own (augmenting paths)."""
    taken: dict[int, int] = {}

    def seat(place: int, tried: set[int]) -> bool:
        for number, group in enumerate(seats):
            if number in tried or not _counts_for(reviews[place], group):
                continue
            tried.add(number)
            if number not in taken or seat(taken[number], tried):
                taken[number] = place
                return True
        return False

    return sum(seat(place, set()) for place in range(len(reviews)))
