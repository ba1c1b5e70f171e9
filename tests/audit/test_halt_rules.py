"""The kill switch in the ledger: set by one, lifted by two, and nothing leaves meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sekisho.model.ids import uuid7
from sekisho_audit.carried import BadCarried, book_json, read_book
from sekisho_audit.errors import Refused
from sekisho_audit.events import Event, Payload
from sekisho_audit.halt_rules import HALTS_MAX, folded, named
from sekisho_audit.standing import RuleBroken
from support.ledgers import decision, intent, open_ledger, received
from support.scribe import Scribe, broken, decide, opened, state

ONE, TWO = "p-operator-1", "p-operator-2"


@pytest.fixture
def scribe() -> Scribe:
    return opened()


def act(scribe: Scribe, kind: str, actor: str = ONE, **data: Any) -> str:
    """An operator acts; the id of the event."""
    leaf = scribe.leaf(kind, **data)
    leaf.update(principal=None, actor=actor)
    scribe.take(leaf)
    return str(leaf["id"])


def refused(scribe: Scribe, kind: str, actor: str = ONE, **data: Any) -> str:
    """The code of the refusal; the book is as before."""
    before = state(scribe.book)
    with pytest.raises(RuleBroken) as caught:
        act(scribe, kind, actor, **data)
    scribe.book.roll_back()
    assert state(scribe.book) == before
    return caught.value.code


INTENT = {"session": "s-1", "backend": "openai", "model": "gpt-4o"}


@pytest.mark.parametrize(
    ("scope", "name"),
    [
        ("all", ""),
        ("backend", "openai"),
        ("model", "gpt-4o"),
        ("model", "gpt-*"),
        ("model", " GPT-4o "),
        ("model", "ｇｐｔ-4o"),
    ],
)
def test_nothing_leaves_that_a_switch_stops(scribe: Scribe, scope: str, name: str) -> None:
    """Whatever the live state of gateways says: the ledger refuses the intent itself."""
    act(scribe, "halt.set", scope=scope, name=name)
    decide(scribe, "x-1")

    assert broken(scribe, "backend.intent", "x-1", **INTENT) == "halted_intent"


@pytest.mark.parametrize(
    ("scope", "name"), [("backend", "azure"), ("model", "gpt-4"), ("team", "sales"), ("tool", "rm")]
)
def test_what_no_switch_names_goes_on(scribe: Scribe, scope: str, name: str) -> None:
    """Teams and tools are no members of an intent: there the gateway alone is the judge."""
    act(scribe, "halt.set", scope=scope, name=name)
    decide(scribe, "x-1")

    scribe.write("backend.intent", "x-1", **INTENT)


def test_lifting_takes_two_persons(scribe: Scribe) -> None:
    """Propose and confirm; whoever proposed does not confirm, and nothing is lifted before."""
    halt = act(scribe, "halt.set", scope="all", name="")
    assert refused(scribe, "halt.lifted", TWO, halt=halt, proposed="e-0") == "unproposed_lift"
    first = act(scribe, "halt.lift_proposed", ONE, halt=halt)
    assert refused(scribe, "halt.lifted", ONE, halt=halt, proposed=first) == "self_confirmation"
    decide(scribe, "x-1")
    assert broken(scribe, "backend.intent", "x-1", **INTENT) == "halted_intent"

    act(scribe, "halt.lifted", TWO, halt=halt, proposed=first)

    scribe.write("backend.intent", "x-1", **INTENT)
    assert refused(scribe, "halt.lifted", TWO, halt=halt, proposed=first) == "unknown_halt"


def test_only_the_last_proposal_is_confirmed(scribe: Scribe) -> None:
    """Whoever proposes again is the one who cannot confirm."""
    halt = act(scribe, "halt.set", scope="all", name="")
    first = act(scribe, "halt.lift_proposed", ONE, halt=halt)
    last = act(scribe, "halt.lift_proposed", TWO, halt=halt)

    assert refused(scribe, "halt.lifted", TWO, halt=halt, proposed=first) == "unproposed_lift"
    assert refused(scribe, "halt.lifted", TWO, halt=halt, proposed=last) == "self_confirmation"
    act(scribe, "halt.lifted", ONE, halt=halt, proposed=last)


def test_a_proposal_of_before_is_good_for_no_later_switch(scribe: Scribe) -> None:
    """Set anew, a switch has a new name, and what was said of the old one counts nothing."""
    old = act(scribe, "halt.set", scope="all", name="")
    proposed = act(scribe, "halt.lift_proposed", ONE, halt=old)
    act(scribe, "halt.lifted", TWO, halt=old, proposed=proposed)
    new = act(scribe, "halt.set", scope="all", name="")

    assert refused(scribe, "halt.lifted", TWO, halt=new, proposed=proposed) == "unproposed_lift"


@pytest.mark.parametrize(
    ("scope", "name"), [("all", "x"), ("team", ""), ("model", "x" * 257)], ids=str
)
def test_a_switch_says_what_it_stops(scribe: Scribe, scope: str, name: str) -> None:
    """A switch without a name, or for all with one, would stop something else than is read."""
    assert refused(scribe, "halt.set", scope=scope, name=name) == "bad_halt"


def test_one_thing_is_stopped_once(scribe: Scribe) -> None:
    """Else one of two would be lifted and everybody believe that it runs."""
    act(scribe, "halt.set", scope="team", name="sales")

    assert refused(scribe, "halt.set", TWO, scope="team", name="sales") == "halt_standing"


def test_switches_are_bounded(scribe: Scribe) -> None:
    """Each exchange is compared with all of them."""
    for number in range(HALTS_MAX):
        act(scribe, "halt.set", scope="team", name=f"t{number}")

    assert refused(scribe, "halt.set", scope="all", name="") == "too_many_halts"


@pytest.mark.parametrize(
    ("pattern", "name", "stops"),
    [
        ("gpt-4*", "gpt-4o-mini", True),
        ("*/gpt-4o", "openai/gpt-4o", True),
        ("gpt-[4]", "gpt-4", False),
        ("gpt-?", "gpt-4", False),
        ("gpt-[4]*", "gpt-[4]x", True),
        ("Straße", "STRASSE", True),
    ],
)
def test_names_are_compared_by_what_they_say(pattern: str, name: str, stops: bool) -> None:
    """Only the star is a pattern."""
    assert named(pattern, name) is stops
    assert folded(folded(name)) == folded(name)


def stopped(scope: str = "all", name: str = "") -> Event:
    """An operator stops something."""
    reason = (Payload("reason", b"leak", b"leak"),)
    data = {"scope": scope, "name": name}
    return Event(uuid7(), "halt.set", None, None, data, "op-1", reason)


def proposal(halt: Event) -> Event:
    """The same operator wants it lifted."""
    reason = (Payload("reason", b"over", b"over"),)
    return Event(uuid7(), "halt.lift_proposed", None, None, {"halt": halt.id}, "op-1", reason)


def test_switches_survive_a_pruning(tmp_path: Path) -> None:
    """The state carried over a cut has them, and reads back as it was."""
    ledger, halt = open_ledger(tmp_path), stopped()
    ledger.append_batch([halt, proposal(halt)])
    book = ledger.with_state(lambda known: known.book)
    told = json.loads(json.dumps(book_json(book)))

    again = read_book(told, ledger.origin, None)

    assert again.halts.standing == book.halts.standing
    [one] = told["halts"]
    for bad in (7, [7], [{**one, "set": one["proposed"]}], [{"set": None}], [{**one, "more": 1}]):
        with pytest.raises((BadCarried, KeyError, TypeError)):
            read_book({**told, "halts": bad}, ledger.origin, None)
    ledger.close()


def test_the_ledger_tells_what_stands(tmp_path: Path) -> None:
    """With persons and reason, also after a restart, and after old holds were forgotten."""
    ledger, halt = open_ledger(tmp_path), stopped()
    ledger.append_batch([halt])
    ledger.close()
    again = open_ledger(tmp_path)
    again.forget_old_holds()

    [found] = again.holds.halts()

    assert found["id"] == halt.id
    assert (found["scope"], found["name"]) == ("all", "")
    assert (found["by"], found["reason"]) == ("op-1", "leak")
    assert found["proposed"] is None
    assert found["last"] < again.size
    again.append_batch([proposal(halt)])
    [found] = again.holds.halts()
    assert found["proposed"]["by"] == "op-1"
    again.close()


def test_the_writer_refuses_what_is_stopped(tmp_path: Path) -> None:
    """Nothing of the batch is written, and the verifier accepts what is there."""
    ledger, exchange = open_ledger(tmp_path), uuid7()
    ledger.open_session("s-1", 1)
    ledger.append_batch([stopped("backend", "local")])
    size = ledger.size

    with pytest.raises(Refused) as caught:
        ledger.append_batch([received(exchange), decision(exchange), intent(exchange, "s-1")])

    assert caught.value.code == "halted_intent"
    assert ledger.size == size
    ledger.close()
