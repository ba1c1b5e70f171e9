"""Ledgers with openings: the writer refuses what the verifier finds where an insider wrote it."""

from __future__ import annotations

from collections.abc import Callable
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

RULE = "sekisho.default"
REASON = b"The plant is down and no reviewer answers."
HOLD = {
    "stage": "request",
    "ttl_s": 60,
    "risk": 90,
    "thresholds": [{"reviewers": "reviewer", "approve": 2, "deny": 1}],
}
HOUR_US = 3_600 * 1_000_000


def opened(by: str = STAFF, rules: tuple[str, ...] = (RULE,)) -> Event:
    """Somebody has to go on."""
    data = {"rules": list(rules), "minutes": 15, "review_hours": 24}
    why = (Payload("reason", REASON, REASON),)
    return Event(uuid7(), "break_glass.opened", None, None, data, by, why)


def used(opening: Event, answered: Event, number: int = 1) -> Event:
    """The opening answers this decision."""
    data = {"opening": opening.id, "decision": answered.id, "backend": "local", "number": number}
    return Event(uuid7(), "break_glass.used", answered.exchange, STAFF, data)


def ended(opening: Event) -> Event:
    """Whoever opened it is done."""
    data = {"opening": opening.id, "cause": "person"}
    return Event(uuid7(), "break_glass.ended", None, None, data, STAFF)


def reviewed(opening: Event, uses: int, by: str = REVIEWER) -> Event:
    """Somebody else looked at it."""
    data = {"opening": opening.id, "verdict": "justified", "uses": uses}
    said = (Payload("reason", b"It was.", b"It was."),)
    return Event(uuid7(), "break_glass.reviewed", None, None, data, by, said)


def run_opened(ledger: Ledger, opening: Event, number: int) -> None:
    """A whole exchange that was let go on."""
    exchange = uuid7()
    held = decision(exchange, "hold", hold=HOLD)
    ledger.append_batch([received(exchange), used(opening, held, number), held])
    sent = intent(exchange, "s-1")
    ledger.append_batch([sent])
    ledger.append_batch([outcome(sent)])


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    """A ledger in which one opening was used twice, ended and reviewed."""
    home = tmp_path_factory.mktemp("o")
    ledger = open_ledger(home)
    ledger.open_session("s-1", 1)
    opening = opened()
    ledger.append_batch([opening])
    for number in (1, 2):
        run_opened(ledger, opening, number)
    ledger.append_batch([ended(opening)])
    ledger.append_batch([reviewed(opening, 2)])
    ledger.close_session("s-1", "ended")
    ledger.close()
    seed = (home / "keys" / "signing.key").read_bytes()
    return Original.read(home, [], [seed])


def test_what_was_opened_verifies(original: Original) -> None:
    """An emergency that was handled as it should be is no fault."""
    report = verify(original.directory, key=original.key)

    assert (report.verdict, report.faults) == (Verdict.SOUND, [])


def _of(tape: Tape, kind: str) -> list[dict[str, Any]]:
    return [leaf for leaf in tape.leaves if leaf["type"] == f"break_glass.{kind}"]


def without_a_use(tape: Tape) -> None:
    tape.leaves.remove(_of(tape, "used")[1])
    _of(tape, "reviewed")[0]["data"]["uses"] = 1


def the_same_use_twice(tape: Tape) -> None:
    _of(tape, "used")[1]["data"]["number"] = 1


def after_its_time(tape: Tape) -> None:
    for leaf in tape.leaves[: tape.leaves.index(_of(tape, "used")[0])]:
        leaf["ts"] -= HOUR_US


def for_another_person(tape: Tape) -> None:
    _of(tape, "used")[0]["principal"] = "p-0123456789abcdef"


def _by(tape: Tape, leaf: dict[str, Any], other: dict[str, Any]) -> None:
    """The leaf as if whoever wrote `other` had written it, their key and all."""
    leaf["actor"] = other["actor"]
    entry = tape.content(leaf, "reason", b"mine")
    assert entry is not None
    leaf["pl"] = [entry]


def opened_by_another_person(tape: Tape) -> None:
    _by(tape, _of(tape, "opened")[0], _of(tape, "reviewed")[0])


def for_another_rule(tape: Tape) -> None:
    _of(tape, "opened")[0]["data"]["rules"] = ["sekisho.other"]


def for_hours(tape: Tape) -> None:
    _of(tape, "opened")[0]["data"]["minutes"] = 61


def of_what_was_denied(tape: Tape) -> None:
    decided = next(leaf for leaf in tape.leaves if leaf["data"].get("effect") == "hold")
    decided["data"]["effect"] = "deny"


def reviewed_by_oneself(tape: Tape) -> None:
    _by(tape, _of(tape, "reviewed")[0], _of(tape, "opened")[0])


def reviewed_for_less(tape: Tape) -> None:
    _of(tape, "reviewed")[0]["data"]["uses"] = 1


def reviewed_while_open(tape: Tape) -> None:
    tape.leaves.remove(_of(tape, "ended")[0])


def opened_again_unreviewed(tape: Tape) -> None:
    """A second one, whose first waited for its review two days."""
    first, review = _of(tape, "opened")[0], _of(tape, "reviewed")[0]
    at = tape.leaves.index(review)
    tape.leaves.remove(review)
    for leaf in tape.leaves[:at]:
        leaf["ts"] -= 48 * HOUR_US
    again = {**first, "id": uuid7(), "ts": tape.leaves[at]["ts"]}
    entry = tape.content(again, "reason", b"again")
    assert entry is not None
    tape.leaves.insert(at, {**again, "pl": [entry]})


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (without_a_use, "policy asked for a hold; the intent names none"),
        (the_same_use_twice, "the use does not follow the one before"),
        (after_its_time, "the opening has ended"),
        (for_another_person, "it is open for somebody else"),
        (opened_by_another_person, "it is open for somebody else"),
        (for_another_rule, "other rules hold this than the opening names"),
        (for_hours, "rules, minutes or the time of review are out of bounds"),
        (of_what_was_denied, "no opening answers a denial"),
        (reviewed_by_oneself, "nobody reviews what they opened themselves"),
        (reviewed_for_less, "the review is of another number of uses"),
        (reviewed_while_open, "it is reviewed when it is over"),
        (opened_again_unreviewed, "earlier openings of this person wait"),
    ],
)
def test_the_verifier_finds_an_opening_that_was_none(
    original: Original, tmp_path: Path, change: Callable[[Tape], None], fault: str
) -> None:
    """Whoever has the signing key and writes it himself, with hashes and signature that fit."""
    where = tmp_path / "ledger"
    laid_down(original, where, change)

    report = verify(where, key=original.key)

    assert report.verdict is Verdict.TAMPERED
    assert fault in {one.what for one in report.faults}


def test_the_writer_knows_openings_after_a_start(tmp_path: Path) -> None:
    """What is open stays open, with its reason and its uses; nothing of a refused batch stays."""
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    opening = opened()
    ledger.append_batch([opening])
    run_opened(ledger, opening, 1)
    ledger.close_session("s-1", "ended")
    ledger.close()

    again = open_ledger(tmp_path)
    again.open_session("s-1", 1)
    size, exchange = again.size, uuid7()
    held = decision(exchange, "hold", hold=HOLD)
    with pytest.raises(Refused) as caught:
        again.append_batch([received(exchange), used(opening, held, 1), held])
    assert (caught.value.code, again.size) == ("stale_use", size)
    [told] = again.holds.openings()
    assert (told["person"], told["reason"]) == (STAFF, REASON.decode())
    assert (told["used"], told["ended"], told["rules"]) == (1, "", [RULE])
    assert told["until_us"] - told["opened_us"] == 15 * 60 * 1_000_000
    run_opened(again, opening, 2)
    again.append_batch([ended(opening)])
    assert [one["ended"] for one in again.holds.openings()] == ["person"]
    again.append_batch([reviewed(opening, 2)])
    assert again.holds.openings() == []
    again.close_session("s-1", "ended")
    again.close()
