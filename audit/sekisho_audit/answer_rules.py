"""What policy and people must have said of an answer before anybody is given it.

An answer that waits for people has the outcome `held`, a hold of a stage behind the request, and
leaves by `hold.released` alone: the bytes that were approved, once. Pure, like `hold_rules.py`:
each function compares one leaf with what is known and raises RuleBroken.
"""

from __future__ import annotations

from sekisho_audit import hold_rules, thresholds
from sekisho_audit.standing import Answer, Filed, Leaf, RuleBroken, commit_of

_OK = 200


def check_outcome(data: Leaf, answer: Answer | None, hold: str | None) -> None:
    """An answer is released if nothing holds it, and held only if policy did not deny it.

    `data` is that of the outcome, early or late; `hold` the hold of this exchange's answer.
    """
    status = data["status"]
    if status not in {"released", "held"}:
        return
    if answer is not None and answer.denied:
        raise RuleBroken("denied_release", "policy had denied this answer")
    if status == "held":
        return
    if hold is not None:
        raise RuleBroken("unapproved_release", "people were asked: only hold.released gives it out")
    error = data.get("http_status", _OK) != _OK
    if answer is not None and answer.wanted(error=error)[0] is not None:
        raise RuleBroken("unapproved_release", "the answer needs an approval that is not there")


def check_filing(leaf: Leaf, before: Filed | None, answer: Answer | None, hold: str | None) -> None:
    """A hold of an answer follows its outcome `held`, and asks for all that policy asked for.

    `hold` is the hold that the answer of this exchange has already.
    """
    data = leaf["data"]
    if answer is None or answer.held is None:
        raise RuleBroken("unanswered_hold", "no outcome `held` precedes the hold of an answer")
    if hold not in {None, data["hold"]}:
        raise RuleBroken("hold_taken", "the answer of this exchange has a hold already")
    hold_rules.check_again(leaf, before)
    if leaf["principal"] != answer.principal:
        raise RuleBroken("undecided_hold", "the hold is in another name than the intent")
    if answer.denied:
        raise RuleBroken("undecided_hold", "policy had denied this answer")
    stage, needed = answer.wanted()
    if stage not in {None, data["stage"]}:
        raise RuleBroken("undecided_hold", f"policy asked for a hold at the stage {stage}")
    given = data.get("thresholds", ())
    if not given:
        raise RuleBroken("undecided_hold", "a hold that nobody is asked to review")
    if needed is not None and not thresholds.strict(needed, given):
        raise RuleBroken("undecided_hold", "the hold asks for fewer reviews than policy did")


def check_released(leaf: Leaf, filed: Filed | None, answer: Answer | None) -> Filed:
    """The hold of an answer: approved for exactly what is given out, and not used before.

    Policy may have been asked again since; it may want no more than the hold had.
    """
    filed = hold_rules.of_exchange(leaf, filed)
    if filed.intent is not None and filed.of_answer:
        raise RuleBroken("duplicate_release", "this approval was used before")
    same = (
        filed.approved
        and filed.of_answer
        and filed.leaf["principal"] == leaf["principal"]
        and all(filed.data[name] == leaf["data"][name] for name in ("version", "binding", "stage"))
        and commit_of(filed.leaf, "outgoing") == commit_of(leaf, "answer")
    )
    if not same:
        raise RuleBroken(
            "unapproved_release",
            "the hold is not approved for exactly this answer, stage, version and bytes",
        )
    if answer is not None:
        _check_wanted(filed, answer)
    return filed


def _check_wanted(filed: Filed, answer: Answer) -> None:
    if answer.denied:
        raise RuleBroken("denied_release", "policy had denied this answer")
    stage, needed = answer.wanted()
    if stage == "response" and filed.data["stage"] != stage:
        raise RuleBroken("unapproved_release", "policy asked for a hold of the whole answer")
    if needed is not None and not thresholds.covered(needed, filed.thresholds):
        raise RuleBroken("unapproved_release", "policy asked for more reviews than the hold had")


def check_delivery(leaf: Leaf, filed: Filed | None, later: Filed | None) -> None:
    """What people approved, and what came back from a backend, can reach its requester.

    `later` is the hold of this exchange's answer; where an answer waits, it must be released.
    """
    filed = hold_rules.of_exchange(leaf, filed)
    if not filed.approved:
        raise RuleBroken("unapproved_delivery", "the answer of a hold that was not approved")
    if filed.of_answer and filed.intent is None:
        raise RuleBroken("unapproved_delivery", "the answer of a hold that was not released")
    if not filed.of_answer and filed.outcome is None:
        raise RuleBroken("unapproved_delivery", "the answer of a hold that has no outcome")
    if filed.outcome == "held" and (later is None or later.intent is None):
        raise RuleBroken("unapproved_delivery", "the answer waits for people")
