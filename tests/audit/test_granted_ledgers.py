"""Ledgers with grants: the writer refuses what the verifier finds where an insider wrote it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sekisho.model.ids import uuid7
from sekisho_audit.errors import Refused
from sekisho_audit.events import Event, Payload
from sekisho_audit.ledger import Ledger
from sekisho_audit.report import Verdict
from sekisho_audit.verify import verify
from support.insider import Original, Tape, laid_down
from support.ledgers import REVIEWER, STAFF, decision, intent, open_ledger, outcome, received

SECOND = "reviewer-2@ledger.example"
RULE = "sekisho.default"
TERMS = b'{"arguments":{"named":{},"others":"any"},"reason":"r","reviewers":["reviewer"]}'
HOLD = {
    "stage": "tool_call",
    "ttl_s": 60,
    "risk": 50,
    "thresholds": [{"reviewers": "reviewer", "approve": 1, "deny": 1}],
}


def proposed(count: int = 2) -> Event:
    """A reviewer wants calls of one tool granted."""
    data = {
        "rules": [RULE],
        "backend": "local",
        "count": count,
        "hours": 1,
        "risk_below": 60,
        "counts_for": ["reviewer"],
        "tool": "send_mail",
    }
    terms = (Payload("terms", TERMS, TERMS),)
    return Event(uuid7(), "grant.proposed", None, STAFF, data, REVIEWER, terms)


def confirmed(grant: Event, by: str = SECOND) -> Event:
    """Another one agrees."""
    data = {"grant": grant.id, "counts_for": ["reviewer"]}
    return Event(uuid7(), "grant.confirmed", None, None, data, by)


def used(grant: Event, answered: Event, number: int = 1) -> Event:
    """The grant answers this decision."""
    left = grant.data["count"] - number
    data = {"grant": grant.id, "decision": answered.id, "backend": "local"}
    figures = {"number": number, "remaining": left}
    return Event(uuid7(), "grant.used", answered.exchange, STAFF, {**data, **figures})


def call(exchange: str) -> Event:
    """Rules want people to look at a call."""
    about = decision(exchange, "hold", hold=HOLD)
    return replace(about, data={**about.data, "stage": "tool_call", "tool": "send_mail"})


def run_granted(ledger: Ledger, grant: Event, number: int) -> None:
    """A whole exchange whose one call was granted."""
    exchange = uuid7()
    sent = intent(exchange, "s-1")
    ledger.append_batch([received(exchange), decision(exchange), sent])
    about = call(exchange)
    ledger.append_batch([used(grant, about, number), about])
    ledger.append_batch([outcome(sent)])


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    """A ledger in which one grant was used twice, as often as it may be."""
    home = tmp_path_factory.mktemp("o")
    ledger = open_ledger(home)
    ledger.open_session("s-1", 1)
    grant = proposed()
    ledger.append_batch([grant])
    ledger.append_batch([confirmed(grant)])
    for number in (1, 2):
        run_granted(ledger, grant, number)
    ledger.close_session("s-1", "ended")
    ledger.close()
    seed = (home / "keys" / "signing.key").read_bytes()
    return Original.read(home, [], [seed])


def test_what_was_granted_verifies(original: Original) -> None:
    report = verify(original.directory, key=original.key)

    assert (report.verdict, report.faults) == (Verdict.SOUND, [])


def _of(tape: Tape, kind: str) -> list[dict[str, Any]]:
    return [leaf for leaf in tape.leaves if leaf["type"] == kind]


def without_a_use(tape: Tape) -> None:
    tape.leaves.remove(_of(tape, "grant.used")[1])


def over_the_count(tape: Tape) -> None:
    _of(tape, "grant.proposed")[0]["data"]["count"] = 1
    for use in _of(tape, "grant.used"):
        use["data"]["remaining"] = 1 - use["data"]["number"]


def the_same_use_twice(tape: Tape) -> None:
    first, second = _of(tape, "grant.used")
    second["data"]["number"] = first["data"]["number"]
    second["data"]["remaining"] = first["data"]["remaining"]


def after_its_end(tape: Tape) -> None:
    for leaf in tape.leaves[: tape.leaves.index(_of(tape, "grant.used")[0])]:
        leaf["ts"] -= 2 * 3_600 * 1_000_000


def confirmed_by_who_proposed(tape: Tape) -> None:
    _of(tape, "grant.confirmed")[0]["actor"] = _of(tape, "grant.proposed")[0]["actor"]


def confirmed_by_nobody(tape: Tape) -> None:
    tape.leaves.remove(_of(tape, "grant.confirmed")[0])


def proposed_for_oneself(tape: Tape) -> None:
    leaf = _of(tape, "grant.proposed")[0]
    leaf["actor"] = leaf["principal"]


def for_another_person(tape: Tape) -> None:
    _of(tape, "grant.used")[0]["principal"] = "p-0123456789abcdef"


def for_another_tool(tape: Tape) -> None:
    _of(tape, "grant.proposed")[0]["data"]["tool"] = "kb.read"


def for_another_rule(tape: Tape) -> None:
    _of(tape, "grant.proposed")[0]["data"]["rules"] = ["sekisho.other"]


def for_less_risk(tape: Tape) -> None:
    _of(tape, "grant.proposed")[0]["data"]["risk_below"] = 50


def of_what_was_denied(tape: Tape) -> None:
    decided = next(leaf for leaf in tape.leaves if leaf["data"].get("tool") and leaf["exchange"])
    decided["data"]["effect"] = "deny"


def after_it_was_revoked(tape: Tape) -> None:
    grant, confirm = _of(tape, "grant.proposed")[0], _of(tape, "grant.confirmed")[0]
    ended = {**confirm, "id": uuid7(), "type": "grant.ended", "actor": None}
    ended["data"] = {"grant": grant["id"], "cause": "halted"}
    tape.leaves.insert(tape.leaves.index(confirm) + 1, ended)


def after_a_switch(tape: Tape) -> None:
    """For the tool of the grant, which ends it: no use follows."""
    confirm = _of(tape, "grant.confirmed")[0]
    at = tape.leaves.index(confirm) + 1
    tool = {"scope": "tool", "name": "send_mail"}
    somebody = _of(tape, "grant.proposed")[0]["principal"]
    stop = {**confirm, "id": uuid7(), "type": "halt.set", "data": tool, "actor": somebody}
    entry = tape.content(stop, "reason", b"a leak")
    assert entry is not None
    stop["pl"] = [entry]
    tape.leaves.insert(at, stop)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (without_a_use, "the answer needs an approval that is not there"),
        (over_the_count, "the grant was used as often as people agreed to"),
        (the_same_use_twice, "the use does not follow the one before"),
        (after_its_end, "the grant has ended"),
        (confirmed_by_who_proposed, "whoever proposed a grant does not confirm it"),
        (confirmed_by_nobody, "nobody has confirmed this grant"),
        (proposed_for_oneself, "nobody agrees to a grant for themselves"),
        (for_another_person, "the grant is for somebody else"),
        (for_another_tool, "the grant is for another stage, tool or exchange"),
        (for_another_rule, "other rules hold this than the grant is for"),
        (for_less_risk, "the risk is higher than the grant is for"),
        (of_what_was_denied, "no grant answers a denial"),
        (after_it_was_revoked, "no such grant stands"),
        (after_a_switch, "the grant has ended"),
    ],
)
def test_the_verifier_finds_a_grant_that_was_none(
    original: Original, tmp_path: Path, change: Callable[[Tape], None], fault: str
) -> None:
    """Whoever has the signing key and writes it himself, with hashes and signature that fit."""
    where = tmp_path / "ledger"
    laid_down(original, where, change)

    report = verify(where, key=original.key)

    assert report.verdict is Verdict.TAMPERED
    assert fault in {one.what for one in report.faults}


def test_the_writer_takes_no_use_too_many(tmp_path: Path) -> None:
    """Nothing of the batch is written, also after a start; the terms can be read again."""
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    grant = proposed(count=1)
    ledger.append_batch([grant, confirmed(grant)])
    run_granted(ledger, grant, 1)
    ledger.close_session("s-1", "ended")
    ledger.close()

    again = open_ledger(tmp_path)
    again.open_session("s-2", 1)
    size, exchange = again.size, uuid7()
    sent = intent(exchange, "s-2")
    again.append_batch([received(exchange), decision(exchange), sent])
    about = call(exchange)
    for number in (1, 2):
        with pytest.raises(Refused) as caught:
            again.append_batch([used(grant, about, number), about])
        assert caught.value.code in {"grant_used_up", "stale_use"}
    assert again.size == size + 3
    [told] = again.holds.grants()
    assert (told["principal"], told["proposed_by"], told["confirmed_by"]) == (
        STAFF,
        REVIEWER,
        SECOND,
    )
    assert (told["terms"], told["used"]) == (TERMS.decode(), 1)
    again.append_batch([outcome(sent, "stopped")])
    again.close_session("s-2", "ended")
    again.close()
