"""One exchange as a document: grown from leaves, bounded, without content, readable by its own."""

from __future__ import annotations

from typing import Any

import orjson

from sekisho_audit import exchanges
from sekisho_audit.exchanges import GRANTS_MAX, READS_MAX, begin, grow, named


class Story:
    """Leaves of one exchange, in order."""

    def __init__(self) -> None:
        self.document: dict[str, Any] | None = None
        self.index = 10

    def tell(self, kind: str, actor: str | None = None, **data: Any) -> str:
        self.index += 1
        leaf = {
            "id": f"e-{self.index}",
            "n": self.index,
            "ts": self.index * 1_000,
            "type": kind,
            "exchange": "x",
            "principal": "p-1",
            "actor": actor,
            "data": data,
            "pl": [],
        }
        if self.document is None:
            self.document = begin(leaf)
        grow(self.document, leaf, f"{self.index:064x}")
        return leaf["id"]

    def found(self, **names: str) -> dict[str, Any]:
        assert self.document is not None
        return named(orjson.loads(orjson.dumps(self.document)), "ledger.example", names.get)


def whole() -> Story:
    story = Story()
    story.tell(
        "request.received", endpoint="chat", model="m", stream=True, credential="k-1", bytes=9
    )
    reasons = [{"code": "salary", "msg": "Looked at first.", "rule": "r.1"}]
    decided = {"stage": "request", "reasons": reasons, "rules": ["r.1"], "revision": "v"}
    story.tell("policy.decision", **decided, effect="hold")
    story.tell("hold.filed", hold="h", version=1, stage="request", expires_us=99)
    story.tell("hold.review", "p-3", hold="h", decision="approve", person="p-2")
    story.tell("hold.settled", hold="h", state="approved")
    story.tell("policy.decision", **decided, effect="allow")
    sent = story.tell(
        "backend.intent",
        attempt=1,
        backend="local",
        model="m",
        charged={"tokens": 100, "spend_micros": 9, "prices": "x"},
    )
    used = {"tokens": 40, "spend_micros": 3}
    story.tell("backend.outcome", intent=sent, status="released", finish="stop", charged=used)
    story.tell("hold.delivered", hold="h")
    return story


def test_whole_story_of_a_held_exchange() -> None:
    """Received, decided, held, reviewed, sent, charged, delivered; with receipts."""
    found = whole().found(**{"p-1": "staff-7", "p-2": "reviewer-2", "p-3": "deputy-3"})
    assert found["principal"] == "staff-7"
    assert found["received"]["stream"] is True
    assert [line["effect"] for line in found["decisions"]] == ["hold", "allow"]
    assert found["decisions"][0]["reasons"] == [{"code": "salary", "msg": "Looked at first."}]
    hold = found["hold"]
    assert (hold["state"], hold["settled_us"], hold["delivered_us"]) == ("approved", 15_000, 19_000)
    assert [(r["by"], r["in_place_of"]) for r in hold["reviews"]] == [("deputy-3", "reviewer-2")]
    [send] = found["sends"]
    assert send["receipt"] == {"origin": "ledger.example", "index": 17, "leaf": f"{17:064x}"}
    assert send["outcome"]["receipt"]["index"] == 18
    assert send["outcome"]["charged"] == {"requests": 1, "tokens": 40, "spend_micros": 3}
    assert send["set_aside"] == {"tokens": 100, "spend_micros": 9}


def test_who_was_asked_later_is_told_with_their_step() -> None:
    """Where there was an order; else no step is said."""
    story = Story()
    story.tell("hold.filed", hold="h", version=1, stage="request", expires_us=99)
    for who, step in (("p-3", {}), ("p-2", {"step": 2})):
        story.tell("hold.review", who, hold="h", version=1, decision="approve", **step)
    assert [one.get("step") for one in story.found()["hold"]["reviews"]] == [None, 2]


def test_reviewers_are_readers() -> None:
    """Whoever answered a hold was shown it; if that was recorded by itself, it is told once."""
    assert [(r["by"], r["purpose"]) for r in whole().found()["reads"]] == [("erased", "review")]
    story = Story()
    story.tell("hold.filed", hold="h", version=1, stage="request", expires_us=99)
    story.tell("record.read", "p-3", purpose="review", part="prompt", hold="h")
    story.tell("hold.review", "p-3", hold="h", decision="approve")
    [line] = story.found(**{"p-3": "reviewer-3"})["reads"]
    assert (line["by"], line["part"], line["count"]) == ("reviewer-3", "prompt", 1)


def test_reading_again_is_counted_not_listed() -> None:
    """One line a reader, purpose and part, with the first time and the last."""
    story = Story()
    for _ in range(3):
        story.tell("record.read", "p-9", purpose="audit", part="answer")
    story.tell("record.read", "p-9", purpose="audit", part="prompt")
    first, second = story.found(**{"p-9": "auditor-1"})["reads"]
    assert (first["first_us"], first["last_us"], first["count"]) == (11_000, 13_000, 3)
    assert second["part"] == "prompt"


def test_nobody_erased_is_named() -> None:
    """A pseudonym that stands for nobody any more is said to be erased, never shown."""
    found = whole().found()
    assert found["principal"] == found["hold"]["reviews"][0]["by"] == "erased"
    assert b"p-" not in orjson.dumps(found)


def test_refused_cancelled_cut_and_appealed() -> None:
    """Every other end has its place."""
    story = Story()
    story.tell("exchange.refused", code="policy_denied", status=403, stage="clear")
    story.tell("exchange.cancelled", stage="decide")
    story.tell("exchange.appealed", "p-1", appeal="a-1")
    sent = story.tell("backend.intent", attempt=1, backend="b", model="m")
    story.tell("delivery.cut", intent=sent, cause="client_gone")
    found = story.found(**{"p-1": "staff-7"})
    assert found["refused"]["code"] == "policy_denied"
    assert found["cancelled"]["stage"] == "decide"
    assert [(a["id"], a["by"], a["receipt"]["index"]) for a in found["appeals"]] == [
        ("a-1", "staff-7", 13)
    ]
    assert (found["sends"][0]["cut"], found["sends"][0]["set_aside"]) == ("client_gone", None)


def test_what_became_of_an_answer_is_what_was_said_last() -> None:
    """Somebody may change their mind; all of it stays in the ledger."""
    story = Story()
    story.tell("draft.answered", "p-1", decision="accepted")
    story.tell("draft.answered", "p-1", decision="rejected")
    found = story.found(**{"p-1": "staff-7"})["draft"]
    assert (found["decision"], found["by"], found["receipt"]["index"]) == (
        "rejected",
        "staff-7",
        12,
    )


def test_what_a_grant_answered_is_told() -> None:
    """Of which grant, and what was left then; at most as often as one answer has calls. Where none
    was used, the document is what it was before there were grants.
    """
    story = Story()
    story.tell("exchange.cancelled", stage="decide")
    assert "grants" not in story.found(**{"p-1": "staff-7"})
    for number in range(GRANTS_MAX + 1):
        story.tell("grant.used", grant="g-1", decision="d", remaining=99 - number)

    found = story.found(**{"p-1": "staff-7"})["grants"]

    assert len(found) == GRANTS_MAX
    assert (found[0]["grant"], found[0]["remaining"]) == ("g-1", 99)
    assert found[0]["receipt"]["origin"]


def test_what_was_let_go_on_in_an_emergency_is_told() -> None:
    """Which opening, with a receipt; where none was used, the document is what it always was."""
    story = Story()
    story.tell("exchange.cancelled", stage="decide")
    assert "break_glass" not in story.found(**{"p-1": "staff-7"})

    story.tell("break_glass.used", opening="o-1", decision="d", backend="b", number=1)

    [found] = story.found(**{"p-1": "staff-7"})["break_glass"]
    assert found["opening"] == "o-1"
    assert found["receipt"]["origin"]


def test_outcome_that_says_nothing_costs_what_was_set_aside() -> None:
    """The history and the sums of limits say the same."""
    story = Story()
    aside = {"tokens": 100, "spend_micros": 9}
    sent = story.tell("backend.intent", attempt=1, backend="b", model="m", charged=aside)
    story.tell("backend.outcome", intent=sent, status="unknown", cause="session_lost")
    outcome = story.found()["sends"][0]["outcome"]
    assert outcome["charged"] == {"requests": 1, **aside}


def test_hold_of_the_answer_stands_beside_that_of_the_request() -> None:
    """The latest in `hold`, those before it apart; each goes on by its own name."""
    story = whole()
    story.tell("hold.filed", hold="g", version=1, stage="response", expires_us=99)
    story.tell("hold.review", "p-4", hold="g", decision="approve")
    story.tell("hold.settled", hold="g", state="approved")
    story.tell("hold.released", hold="g", version=1, stage="response")
    at_us = story.index * 1_000
    story.tell("hold.delivered", hold="h")
    found = story.found(**{"p-2": "judge", "p-3": "deputy", "p-4": "reader"})
    assert (found["hold"]["id"], found["hold"]["state"]) == ("g", "approved")
    assert found["hold"]["reviews"][0]["by"] == "reader"
    assert found["hold"]["released"]["at_us"] == at_us
    assert found["hold"]["released"]["receipt"]["origin"] == "ledger.example"
    assert found["hold"]["delivered_us"] is None
    [before] = found["holds_before"]
    assert (before["id"], before["delivered_us"]) == ("h", story.index * 1_000)
    assert before["reviews"][0]["by"] == "deputy"


def test_stray_events_change_nothing() -> None:
    """What names a hold or an intent that is not there is left alone, as are other types."""
    story = Story()
    story.tell("hold.settled", hold="h", state="approved")
    story.tell("hold.review", "p-3", hold="h", decision="approve")
    story.tell("backend.outcome", intent="e-0", status="released")
    story.tell("delivery.cut", intent="e-0", cause="x")
    story.tell("key.created", key="k-1")
    found = story.found()
    assert (found["hold"], found["sends"]) == (None, [])


def test_documents_are_bounded() -> None:
    """A thousand events of each kind, each as long as it may be, still make one answer."""
    story, long = Story(), "w" * 2_048
    reason = {"code": long, "msg": long, "rule": long}
    story.tell("hold.filed", hold="h", version=1, stage="request", expires_us=99)
    for number in range(1_000):
        story.tell(
            "policy.decision",
            stage="request",
            effect="deny",
            reasons=[reason] * 64,
            rules=[long] * 64,
            revision=long,
        )
        story.tell("backend.intent", attempt=number, backend=long, model=long)
        story.tell("record.read", f"p-{number}", purpose="audit", part=long)
        story.tell("hold.review", f"p-{number}", hold="h", decision="deny")
    found = story.found()
    assert len(found["reads"]) == READS_MAX
    assert len(found["hold"]["reviews"]) == exchanges.REVIEWS_MAX
    assert len(found["sends"]) == exchanges.SENDS_MAX
    assert len(orjson.dumps(found)) * 100 < 48 * 1024 * 1024
