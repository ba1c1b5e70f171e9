"""What a hold must be so that it may be filed, reviewed, settled and used by an intent.

Pure: each function compares one leaf with what is known and raises RuleBroken; `rules.py` asks them
in the order of the ledger and keeps the state.
"""

from __future__ import annotations

from collections.abc import Collection

from sekisho_audit import thresholds
from sekisho_audit.standing import Decided, Filed, Leaf, RuleBroken, commit_of, requesters

# A decision taken in time may reach the ledger a little late: the store's clock is not ours, and a
# worker that dies is followed by another one. What comes later still counts as silence.
APPROVAL_LATE_US = 60 * 1_000_000
RELIEF_EARLY_US = 60 * 1_000_000  # as well by the clock of the store


def check_filing(leaf: Leaf, before: Filed | None, decided: Decided | None) -> None:
    """A hold is new, or the same one in a higher version, and asks for what policy asked for.

    `decided` is what policy said at the hold's stage, as far as it is known.
    """
    data = leaf["data"]
    check_again(leaf, before)
    asked = decided.thresholds if decided else None
    given = data.get("thresholds", ())
    if before is not None and not thresholds.strict(asked or (), given):
        raise RuleBroken("undecided_hold", "a new version asks for fewer reviews than policy did")
    if before is None and asked is not None and list(asked) != list(given):
        raise RuleBroken("undecided_hold", "the hold asks for other reviews than policy did")
    if decided is not None and decided.must_justify and not data.get("justify", False):
        raise RuleBroken("undecided_hold", "policy wanted a reason that the hold does not ask for")
    alone = data.get("justify", False) or data.get("background", False)
    if not given and (not alone or decided is None or decided.must_hold):
        raise RuleBroken("undecided_hold", "a hold that nobody is asked to review")


def check_seeding(leaf: Leaf, before: Filed | None, asked: str | None) -> None:
    """A test item is new, of somebody else than whom it names, and of an exchange that is none.

    `asked` is the hold of that exchange.
    """
    if before is not None or asked is not None:
        raise RuleBroken("hold_taken", "a test item is a hold and an exchange of its own")
    if leaf["data"]["version"] != 1:
        raise RuleBroken("stale_hold", "a test item has one version")
    if not leaf["data"]["person"] == leaf["actor"] != leaf["principal"]:
        raise RuleBroken("self_review", "who made a test item up is named, and did not ask it")


def check_again(leaf: Leaf, before: Filed | None) -> None:
    """A hold is filed again for the same exchange in a higher version, before it was used."""
    if before is None:
        return
    if before.seeded:
        raise RuleBroken("hold_taken", "the hold is a test item, which never becomes a request")
    if before.leaf["exchange"] != leaf["exchange"] or before.intent:
        raise RuleBroken("hold_taken", "the hold belongs to another exchange or was used")
    if before.of_answer != (leaf["data"]["stage"] != "request"):
        raise RuleBroken("hold_taken", "a hold of a request is none of its answer")
    if leaf["data"]["version"] <= before.data["version"]:
        raise RuleBroken("stale_hold", "a hold is filed again only with a higher version")
    if before.settled is not None and not before.approved:
        raise RuleBroken("hold_settled", "what was not approved is not asked about again")
    if leaf["data"].get("editor") in requesters(before.leaf):
        raise RuleBroken("self_review", "who asked does not change what is reviewed")
    if "editor" in leaf["data"] and before.settled is None:
        _check_edit(leaf, before)


def _check_edit(leaf: Leaf, before: Filed) -> None:
    """An edit voids the reviews of its step, and none that its editor has not read: those of the
    steps before it and of whoever opened the next one.
    """
    now, named = thresholds.open_step(before.thresholds, before.reviews), leaf["data"].get("step")
    if (named or thresholds.FIRST_STEP) != now:
        raise RuleBroken("edit_out_of_turn", f"an edit at another step while step {now} is open")
    begins_us = leaf["data"].get("relief_us")
    if begins_us not in {None, before.data.get("relief_us")}:
        raise RuleBroken("early_relief", "an edit moves the time of those who relieve others")


def current(leaf: Leaf, filed: Filed | None) -> Filed:
    """The hold that a review or a settlement is about: this version, and still open."""
    filed = of_exchange(leaf, filed)
    if any(filed.data[key] != leaf["data"][key] for key in ("version", "binding")):
        raise RuleBroken("stale_review", "the hold has another version or binding")
    if filed.settled is not None:
        raise RuleBroken("hold_settled", "the hold has its outcome already")
    return filed


def of_exchange(leaf: Leaf, filed: Filed | None) -> Filed:
    """The hold, if it was filed for the exchange of the leaf."""
    if filed is None or filed.leaf["exchange"] != leaf["exchange"]:
        raise RuleBroken("unknown_hold", "no such hold was filed for this exchange")
    return filed


def check_review(leaf: Leaf, filed: Filed) -> None:
    """Nobody reviews their own request, nobody is heard twice, under whatever name, and nobody
    before those are content whom policy asks first.
    """
    people = thresholds.people(leaf)
    if people & requesters(filed.leaf):
        raise RuleBroken("self_review", "nobody reviews their own request")
    if any(people & thresholds.people(other) for other in filed.reviews):
        raise RuleBroken("second_review", "this person has reviewed this version already")
    approves = leaf["data"]["decision"] == "approve"
    if approves and people & filed.writers:
        raise RuleBroken("self_review", "nobody approves what they wrote into it themselves")
    _check_relief(leaf, filed)
    turn = thresholds.out_of_turn(filed.thresholds, filed.reviews, leaf)
    if turn:
        raise RuleBroken("review_out_of_turn", turn)
    if filed.must_justify and filed.justified is None and approves:
        raise RuleBroken("unjustified_review", "an approval before the reason it has to weigh")


def _check_relief(leaf: Leaf, filed: Filed) -> None:
    """Nobody answers in the place of who was asked while these still have the most of the time."""
    if "relief" not in leaf["data"]:
        return
    begins_us = filed.data.get("relief_us")
    if begins_us is None or leaf["ts"] < begins_us - RELIEF_EARLY_US:
        raise RuleBroken("early_relief", "those who are asked have their time still")


def check_justification(leaf: Leaf, filed: Filed) -> None:
    """A reason was asked for, is given once, and by whoever asked or answers for it."""
    if not filed.must_justify:
        raise RuleBroken("unasked_justification", "the hold asks for no reason")
    if leaf["actor"] not in requesters(filed.leaf):
        raise RuleBroken("foreign_justification", "only who asked can say why")
    if filed.justified is not None:
        raise RuleBroken("second_justification", "the reason for this version was given already")


def check_settlement(leaf: Leaf, filed: Filed) -> None:
    """It cites reviews that are there; an approval has all that were asked for, and in time."""
    cited = frozenset(leaf["data"]["reviews"])
    if not cited <= {item["id"] for item in filed.reviews}:
        raise RuleBroken("unknown_review", "the outcome cites a review that is not there")
    if leaf["data"]["state"] == "approved":
        if filed.seeded:
            raise RuleBroken("seeded_approval", "a test item is never approved")
        _check_approval(leaf, filed, cited)


def _check_approval(leaf: Leaf, filed: Filed, cited: Collection[str]) -> None:
    asked = filed.thresholds
    if filed.must_justify and filed.justified is None:
        raise RuleBroken("unjustified_approval", "the reason that was asked for is not there")
    denied = thresholds.objection(asked, filed.reviews)
    if denied:
        raise RuleBroken("denied_approval", denied)
    missing = thresholds.missing(asked, [item for item in filed.reviews if item["id"] in cited])
    if missing:
        raise RuleBroken("unreviewed_approval", missing)
    if leaf["ts"] > filed.data["expires_us"] + APPROVAL_LATE_US:
        raise RuleBroken("late_approval", "the time to approve this hold was over")


def check_use(leaf: Leaf, filed: Filed | None, decided: Decided | None) -> Filed:
    """The hold that an intent names: approved for exactly what leaves, and not used before.

    Policy may have been asked again since; it may want no more reviews than the hold had.
    """
    if filed is None:
        raise RuleBroken("unapproved_intent", "the intent names a hold that was not filed")
    if filed.seeded:
        raise RuleBroken("seeded_intent", "the intent names a test item; nothing of it may leave")
    if filed.intent is not None:
        raise RuleBroken("duplicate_intent", "this approval was used before")
    same = (
        filed.approved
        and filed.data["stage"] == "request"
        and filed.leaf["exchange"] == leaf["exchange"]
        and filed.leaf["principal"] == leaf["principal"]
        and all(filed.data[k] == leaf["data"].get(k) for k in ("version", "binding", "backend"))
        and commit_of(filed.leaf, "outgoing") == commit_of(leaf, "outgoing")
    )
    if not same:
        raise RuleBroken(
            "unapproved_intent",
            "the hold is not approved for exactly this exchange, backend, version and bytes",
        )
    asked = decided.thresholds if decided and decided.effect == "hold" else None
    if asked is not None and not thresholds.covered(asked, filed.thresholds):
        raise RuleBroken("unapproved_intent", "policy asked for more reviews than the hold had")
    if decided is not None and decided.must_hold and not filed.thresholds:
        raise RuleBroken("unapproved_intent", "policy asked for reviews, and the hold had none")
    return filed


def check_justified(decided: Decided | None, filed: Filed | None) -> None:
    """What policy wants a reason for is sent with one, given before, or not at all."""
    asked = (decided is not None and decided.must_justify) or (
        filed is not None and filed.must_justify
    )
    if asked and (filed is None or filed.justified is None):
        raise RuleBroken("unjustified_intent", "policy asked for a reason; none was given before")
