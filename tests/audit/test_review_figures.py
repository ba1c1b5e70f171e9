"""Figures of reviewers equal a count by hand over the events, and few people stay unnamed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from random import Random
from statistics import median
from typing import Any

import pytest

from sekisho_audit.review_figures import HASTY_US, all_figures, own_figures
from support.review_leaves import Leaf, Written, kept

FILINGS = ("hold.filed", "hold.seeded")
HOUR_US = 3_600 * 1_000_000


def at_random(seed: int, people: int, holds: int = 40) -> list[Leaf]:
    """Holds that several people are shown, edit and answer, in any order."""
    random = Random(seed)  # noqa: S311 - no secret, and the same each time
    written = Written()
    open_holds: dict[str, int] = {}
    answered: set[tuple[str, int, str]] = set()
    for step in range(holds * 8):
        written.now_us += random.choice([0, 1, 900_000, 4_000_000, 400_000_000])
        if len(open_holds) < holds and random.random() < 0.3:
            hold, stage = f"h{step}", random.choice(["request", "response"])
            rules = random.sample(["r.a", "r.b", "r.c"], random.choice([0, 1, 1, 2]))
            if random.random() < 0.2:
                written.seeded(hold, "r.b")
            else:
                written.decided(f"x-{hold}", *rules, stage=stage)
                written.filed(hold, stage=stage)
            open_holds[hold] = 1
            continue
        if not open_holds:
            continue
        hold, person = random.choice(list(open_holds)), f"p-{random.randrange(people)}"
        what = random.random()
        if what > 0.95:
            written.settled(hold, random.choice(["denied", "withdrawn", "expired"]))
            del open_holds[hold]
        elif what < 0.4:
            written.shown(hold, person, random.choice(["review", "review", "own"]))
        elif what < 0.5 and not any(is_seed(one, hold) for one in written.leaves):
            open_holds[hold] += 1
            written.filed(hold, open_holds[hold], editor=person)
        elif (hold, open_holds[hold], person) not in answered:
            answered.add((hold, open_holds[hold], person))
            said = random.choice(["approve", "approve", "deny"])
            written.answered(hold, person, said, open_holds[hold])
    return written.leaves


def by_hand(leaves: Sequence[Leaf], since_us: int) -> tuple[list[Leaf], list[Leaf]]:
    """Each answer and each edit since then, with what is known of it; one loop over the leaves."""
    answers, edits = [], []
    for place, leaf in enumerate(leaves):
        data, before = leaf["data"], leaves[:place]
        if leaf["ts"] < since_us:
            continue
        if leaf["type"] == "hold.filed" and "editor" in data:
            edits.append({"who": data["editor"], "rules": rules_of(leaf, leaves)})
        if leaf["type"] != "hold.review":
            continue
        version = data["hold"], data["version"]
        [filing] = [
            one
            for one in before
            if one["type"] in FILINGS and (one["data"]["hold"], one["data"]["version"]) == version
        ]
        looks = [
            one["ts"]
            for one in before[filing["n"] :]
            if one["type"] == "record.read"
            and one["actor"] == leaf["actor"]
            and (one["data"]["hold"], one["data"]["purpose"]) == (data["hold"], "review")
        ]
        answers.append(
            {
                "who": leaf["actor"],
                "version": version,
                "approved": data["decision"] == "approve",
                "took_us": leaf["ts"] - min(looks, default=filing["ts"]),
                "hour": leaf["ts"] // HOUR_US,
                "rules": rules_of(filing, leaves),
                "seeded": filing["type"] == "hold.seeded"
                and any(
                    one["type"] == "hold.settled" and one["data"]["hold"] == data["hold"]
                    for one in leaves
                ),
            }
        )
    return answers, edits


def is_seed(leaf: Leaf, hold: str) -> bool:
    return leaf["type"] == "hold.seeded" and leaf["data"]["hold"] == hold


def rules_of(filing: Leaf, leaves: Sequence[Leaf]) -> set[str]:
    if filing["type"] == "hold.seeded":
        return {filing["data"]["rule"]}
    return {
        rule
        for one in leaves[: filing["n"]]
        if one["type"] == "policy.decision" and one["exchange"] == filing["exchange"]
        if filing["data"]["stage"] != "request" or one["data"]["stage"] == "request"
        for rule in one["data"]["rules"]
    }


def counted(answers: Sequence[Leaf], edits: int, everybody: Sequence[Leaf]) -> dict[str, Any]:
    """The figures of these answers, the slow way."""
    tests = [one for one in answers if one["seeded"]]
    answers = [one for one in answers if not one["seeded"]]
    said = defaultdict(list)
    for one in everybody:
        said[one["version"]].append(one["approved"])
    together = {one["version"] for one in answers if len(said[one["version"]]) > 1}
    times = [one["took_us"] for one in answers]
    return {
        "decisions": len(answers),
        "approved": sum(one["approved"] for one in answers),
        "people": len({one["who"] for one in answers}),
        "under_5_s": sum(took < HASTY_US for took in times),
        "median_us": int(median(times)) if times else None,
        "together": len(together),
        "agreed": sum(len(set(said[version])) == 1 for version in together),
        "edits": edits,
        "hours": len({(one["who"], one["hour"]) for one in answers}),
        "caught": sum(not one["approved"] for one in tests),
        "missed": sum(one["approved"] for one in tests),
    }


@pytest.mark.parametrize("seed", range(8))
def test_figures_are_what_a_count_by_hand_gives(seed: int) -> None:
    """In all, by rule, by person and for oneself; over everything and over the last part."""
    leaves = at_random(seed, people=6)
    db = kept(leaves)
    for since_us in (0, leaves[len(leaves) // 2]["ts"]):
        answers, edits = by_hand(leaves, since_us)
        assert len(answers) > 10
        found = all_figures(db, since_us, 1)
        assert found["total"] == counted(answers, len(edits), answers)
        rules = {rule for one in (*answers, *edits) for rule in one["rules"]}
        people = {one["who"] for one in (*answers, *edits)}
        assert found["rules"] == {
            rule: counted(
                [one for one in answers if rule in one["rules"]],
                sum(rule in one["rules"] for one in edits),
                answers,
            )
            for rule in rules
        }
        for who in people:
            own = counted(
                [one for one in answers if one["who"] == who],
                sum(one["who"] == who for one in edits),
                answers,
            )
            assert found["people"][who] == own == own_figures(db, since_us, who)
        assert set(found["people"]) == people


def answers_of(*people: str, rule: str = "r.a") -> list[Leaf]:
    """Each of these answers one hold of the rule."""
    written = Written()
    for number, person in enumerate(people):
        written.decided(f"x-h{number}", rule)
        written.filed(f"h{number}")
        written.now_us += 1_000_000
        written.answered(f"h{number}", person, "approve")
    return written.leaves


def test_a_test_item_counts_as_any_hold_until_it_is_over() -> None:
    """The figures of who answered first of two would tell the item to who has yet to answer."""
    written = Written()
    for hold in ("real", "test"):
        if hold == "real":
            written.decided("x-real", "r.a")
            written.filed("real")
        else:
            written.seeded("test", "r.a")
        written.now_us += 2_000_000
        written.answered(hold, "p-1", "approve")
    open_ = own_figures(kept(written.leaves), 0, "p-1")
    assert (open_["decisions"], open_["approved"], open_["missed"]) == (2, 2, 0)
    assert (open_["under_5_s"], open_["median_us"]) == (2, 2_000_000)
    assert all_figures(kept(written.leaves), 0, 1)["rules"]["r.a"]["decisions"] == 2

    written.settled("real", "approved")
    written.settled("test", "withdrawn")
    over = own_figures(kept(written.leaves), 0, "p-1")
    assert (over["decisions"], over["approved"], over["missed"]) == (1, 1, 1)


def test_few_people_are_not_named() -> None:
    """One below the size nobody is listed; at it everybody is."""
    four = all_figures(kept(answers_of("p-1", "p-2", "p-3", "p-4", "p-4")), 0, 5)
    assert four["people"] is None
    assert four["total"]["under_5_s"] == 5
    five = all_figures(kept(answers_of("p-1", "p-2", "p-3", "p-4", "p-5")), 0, 5)
    assert set(five["people"]) == {f"p-{number}" for number in range(1, 6)}


def test_a_rule_of_few_people_tells_only_how_it_was_answered() -> None:
    """A rule that one person answers would be that person's figures under another name."""
    db = kept(answers_of("p-1", "p-1"))
    for figures in (all_figures(db, 0, 2)["rules"]["r.a"], all_figures(db, 0, 2)["total"]):
        assert (figures["decisions"], figures["approved"]) == (2, 2)
        told = {name for name, value in figures.items() if value is not None}
        assert told == {"decisions", "approved"}
    assert own_figures(db, 0, "p-1")["median_us"] == 1_000_000


def test_nobody_answered_anything() -> None:
    """Nothing is divided, and a person without a pseudonym has no figures."""
    found = all_figures(kept([]), 0, 5)
    assert found["total"]["decisions"] == 0
    assert found["rules"] == {}
    assert found["people"] is None
    assert own_figures(kept([]), 0, None)["decisions"] == 0


def test_a_look_at_an_older_version_is_none_at_this_one() -> None:
    """The time runs from when this version was first shown to this reviewer, as one's own never."""
    written = Written()
    written.decided("x-h", "r.a")
    written.filed("h")
    written.shown("h", "p-1")
    written.now_us += 100_000_000
    written.filed("h", 2, editor="p-2")
    written.now_us += 10_000_000
    written.shown("h", "p-2")
    written.shown("h", "p-1", "own")
    written.now_us += 7_000_000
    written.answered("h", "p-1", "deny", 2)
    assert own_figures(kept(written.leaves), 0, "p-1")["median_us"] == 17_000_000
