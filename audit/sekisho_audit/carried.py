"""What the leaves before a cut leave behind for those after it: the rules' state, as JSON and back.

Read back, it is what it was: keys keep their order, because the oldest are forgotten first. It
comes from a file that an attacker may have written, so every value is looked at before it is used;
whether it is the one that the ledger recorded is for others to say (`pruned.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, fields
from typing import Any, TypeVar

from sekisho_audit.carried_openings import read_break_glass
from sekisho_audit.carried_values import (
    BadCarried,
    dict_in,
    exactly,
    maybe_text,
    members_of,
    parts_of,
    text_in,
    texts_in,
    whole_in,
)
from sekisho_audit.custody import Custody, Office, Pruning
from sekisho_audit.draft_rules import DraftRules
from sekisho_audit.form import check_leaf
from sekisho_audit.grant_rules import Grant, GrantRules, Use
from sekisho_audit.halt_rules import Standing
from sekisho_audit.officer_rules import OfficerRules
from sekisho_audit.rules import MEMORY_EVENTS, Book
from sekisho_audit.sample_rules import Given, Sample, SampleRules, Tally
from sekisho_audit.shelves import BegunRun, LegalHold, Shelves
from sekisho_audit.standing import Answer, Decided, Filed, Intent

# A writer forgets when a quarter too many are kept: so much is what one can know at most.
CARRIED_EVENTS = MEMORY_EVENTS + MEMORY_EVENTS // 4

T = TypeVar("T")
Json = dict[str, Any]


def book_json(book: Book) -> Json:
    """The state of a book between two leaves."""
    # Told only where there are some: a ledger that knows no switches keeps the state it had.
    halts = [_halt_json(one) for one in book.halts.standing.values()]
    return {
        **({"halts": halts} if halts else {}),
        **_grants_json(book.grants),
        **_drafts_json(book.drafts),
        **_samples_json(book.samples),
        **({"break_glass": told} if (told := book.break_glass.told()) else {}),
        "writer": book.writer,
        "pruned": _pairs(book.pruned, int),
        "boots": _pairs(book.boots, int),
        "sessions": list(book.sessions),
        "intents": _pairs(book.intents, _intent_json),
        "closed": _pairs(book.closed, str),
        "decided": _pairs(book.decided, _decided_json),
        "answers": _pairs(book.answers, _answer_json),
        "holds": [_filed_json(filed) for filed in book.holds.values()],
        "held": _pairs(book.held, str),
        "held_answers": _pairs(book.held_answers, str),
        "appeals": _pairs(book.appeals, int),
        "officers": _officers_json(book.officers),
    }


def _halt_json(one: Standing) -> Json:
    return {"set": one.leaf, "proposed": one.proposed}


def _grants_json(rules: GrantRules) -> Json:
    """As switches: told only where there are some."""
    if not (rules.standing or rules.named or rules.cleared):
        return {}
    told = {
        "standing": [_grant_json(one) for one in rules.standing.values()],
        "named": [
            {"use": one.leaf, "grant": _grant_json(one.grant)} for one in rules.named.values()
        ],
        "cleared": _pairs(rules.cleared, _same),
    }
    return {"grants": told}


def _drafts_json(rules: DraftRules) -> Json:
    """As switches: told only where there are some."""
    if not (rules.wanted or rules.open):
        return {}
    told = {"wanted": _pairs(rules.wanted, int), "open": _pairs(rules.open, list)}
    return {"drafts": told}


def _samples_json(rules: SampleRules) -> Json:
    """As switches: told only where something was ever drawn or could be."""
    if not (rules.terms or rules.opened):
        return {}
    told = {
        **({"opened": _pairs(rules.opened, str)} if rules.opened else {}),
        "terms": list(rules.terms.values()),
        "given": _pairs(rules.given, lambda one: list(astuple(one))),
        "passed": _pairs(rules.passed, sorted),
        "standing": [_sample_json(one) for one in rules.standing.values()],
        "tallies": _pairs(rules.tallies, lambda one: list(astuple(one))),
    }
    return {"samples": told}


def _sample_json(one: Sample) -> Json:
    return {
        "leaf": one.leaf,
        "needed": one.verdicts_needed,
        "until_us": one.until_us,
        "barred": sorted(one.barred),
        "shown": sorted(one.shown),
        "verdicts": list(one.verdicts),
        "content": one.content,
    }


def _grant_json(one: Grant) -> Json:
    return {
        "leaf": one.leaf,
        "confirmed": one.confirmed,
        "used": one.used,
        "halted": one.halted,
    }


def _officers_json(rules: OfficerRules) -> Json:
    return {
        "duties": _pairs(rules.duties, list),
        "pairs": _pairs(rules.pairs, list),
        "holds": _pairs(rules.holds, str),
        "begun": _pairs(rules.begun, str),
        "open": _pairs(rules.open, str),
        "erased": _pairs(rules.erased, int),
        "runs": _pairs(rules.runs, int),
    }


def _pairs(where: Mapping[str, T], said: Callable[[T], Any]) -> list[list[Any]]:
    return [[key, said(value)] for key, value in where.items()]


def _intent_json(intent: Intent) -> list[Any]:
    return [intent.session, intent.exchange, intent.hold, intent.principal, intent.index]


def _decided_json(decided: Decided) -> list[Any]:
    asked = decided.thresholds
    said = [
        *(decided.effect, decided.must_hold, decided.revision),
        None if asked is None else list(asked),
    ]
    # Told only where it is so: a ledger that knows no justifications keeps the state it had.
    return [*said, True] if decided.must_justify else said


def _answer_json(answer: Answer) -> Json:
    ruled = {} if answer.ruled is None else {"ruled": list(answer.ruled)}
    return {
        **ruled,
        **({"granted": True} if answer.granted else {}),
        **({"behind": _pairs(answer.behind, list)} if answer.behind else {}),
        **({"opened": True} if answer.opened else {}),
        "foreseen": _pairs(answer.foreseen, _asked_json),
        "asked": _pairs(answer.asked, _asked_json),
        "calls": answer.calls,
        "denied": answer.denied,
        "held": answer.held,
        "principal": answer.principal,
    }


def _asked_json(asked: Sequence[Any] | None) -> list[Any] | None:
    return None if asked is None else list(asked)


def _filed_json(filed: Filed) -> Json:
    said: Json = {
        "hold": filed.hold,
        "leaf": filed.leaf,
        "reviews": list(filed.reviews),
        "settled": filed.settled,
        "intent": filed.intent,
        "outcome": filed.outcome,
    }
    # Told only where there are any: a ledger that knows none keeps the state it had.
    if filed.justified is not None:
        said["justified"] = filed.justified
    if filed.writers:
        said["writers"] = sorted(filed.writers)
    return said


def custody_json(custody: Custody) -> Json:
    """What the leaves say of the keeping of content."""
    pruning = custody.pruning
    return {
        "officers": [
            [name, office.credential, list(office.duties)]
            for name, office in custody.officers.items()
        ],
        "two": list(custody.two),
        "holds": [[name, hold.person, hold.exchange] for name, hold in custody.holds.items()],
        "begun": _pairs(custody.begun, str),
        "erased": _pairs(custody.erased, str),
        "erased_us": custody.erased_us,
        "pruning": None if pruning is None else [pruning.size, pruning.state],
        "shelves": _shelves_json(custody.shelves),
        "seen_us": custody.seen_us,
        "leap_us": custody.leap_us,
    }


def _shelves_json(shelves: Shelves) -> Json:
    begun = shelves.begun
    return {
        "days": _pairs(shelves.days, _same),
        "begun": None if begun is None else [begun.event, _pairs(begun.over, int)],
        "ended": _pairs(shelves.ended, int),
        "spared": sorted([hold.person, hold.exchange or ""] for hold in shelves.spared),
        "turns": _pairs(shelves.turns, lambda turns: [list(turn) for turn in turns]),
    }


def _same(value: Any) -> Any:
    return value


# -- and back


def _read_intent(value: Any) -> Intent:
    session, exchange, hold, principal, index = parts_of(value, 5)
    return Intent(
        text_in(session),
        text_in(exchange),
        maybe_text(hold),
        maybe_text(principal),
        whole_in(index),
    )


def _read_decided(value: Any) -> Decided:
    justify = len(exactly(value, list)) == _DECIDED_PARTS + 1
    effect, must_hold, revision, asked, *more = parts_of(value, _DECIDED_PARTS + justify)
    if justify and not exactly(more[0], bool):
        raise BadCarried("what was not asked for is not told")
    thresholds = _read_asked(asked)
    held = bool(exactly(must_hold, bool))
    return Decided(text_in(effect), held, maybe_text(revision), thresholds, justify)


def _read_asked(value: Any) -> tuple[Any, ...] | None:
    return None if value is None else tuple(exactly(value, list))


def _read_answer(value: Any) -> Answer:
    if type(value) is list:  # written before answers could be held
        old = _read_decided(value)
        foreseen = {"response": old.thresholds} if old.must_hold else {}
        return Answer(foreseen, denied=old.effect == "deny")
    more = tuple(one for one in _ANSWER_MORE if type(value) is dict and one in value)
    said = members_of(value, (*_ANSWER, *more))
    return Answer(
        dict_in(said["foreseen"], _read_asked),
        dict_in(said["asked"], _read_asked),
        exactly(said["calls"], bool),
        exactly(said["denied"], bool),
        maybe_text(said["held"]),
        maybe_text(said["principal"]),
        texts_in(said["ruled"]) if "ruled" in said else None,
        exactly(said.get("granted", False), bool),
        dict_in(said.get("behind", []), texts_in),
        exactly(said.get("opened", False), bool),
    )


_ANSWER = ("foreseen", "asked", "calls", "denied", "held", "principal")
_ANSWER_MORE = ("ruled", "granted", "behind", "opened")
_DECIDED_PARTS = 4
_FILED = ("hold", "leaf", "reviews", "settled", "intent", "outcome")


def _read_leaf(found: Any, kind: str, origin: str) -> Json:
    check_leaf(found, found["n"], origin)
    if found["type"] != kind:
        raise BadCarried(f"a {found['type']} stands where a {kind} must")
    return dict(found)


def _read_halt(value: Any, origin: str) -> Standing:
    said = members_of(value, ("set", "proposed"))
    proposed = said["proposed"]
    return Standing(
        _read_leaf(said["set"], "halt.set", origin),
        None if proposed is None else _read_leaf(proposed, "halt.lift_proposed", origin),
    )


def _read_grant(value: Any, origin: str) -> Grant:
    said = members_of(value, ("leaf", "confirmed", "used", "halted"))
    confirmed = said["confirmed"]
    return Grant(
        _read_leaf(said["leaf"], "grant.proposed", origin),
        None if confirmed is None else _read_leaf(confirmed, "grant.confirmed", origin),
        whole_in(said["used"]),
        exactly(said["halted"], bool),
    )


def _read_grants(rules: GrantRules, value: Any, origin: str) -> None:
    said = members_of(value, ("standing", "named", "cleared"))
    standing = [_read_grant(one, origin) for one in exactly(said["standing"], list)]
    rules.standing = {one.leaf["id"]: one for one in standing}
    for one in exactly(said["named"], list):
        pair = members_of(one, ("use", "grant"))
        use = _read_leaf(pair["use"], "grant.used", origin)
        rules.named[use["data"]["decision"]] = Use(use, _read_grant(pair["grant"], origin))
    rules.cleared = dict_in(said["cleared"], maybe_text)


def _read_sample(value: Any, origin: str) -> Sample:
    names = ("leaf", "needed", "until_us", "barred", "shown", "verdicts", "content")
    said = members_of(value, names)
    return Sample(
        _read_leaf(said["leaf"], "sample.drawn", origin),
        whole_in(said["needed"]),
        whole_in(said["until_us"]),
        frozenset(texts_in(said["barred"])),
        frozenset(texts_in(said["shown"])),
        tuple(_read_leaf(one, "sample.judged", origin) for one in exactly(said["verdicts"], list)),
        text_in(said["content"]),
    )


def _read_given(value: Any) -> Given:
    principal, n, ts, out = parts_of(value, 4)
    return Given(maybe_text(principal), whole_in(n), whole_in(ts), exactly(out, bool))


def _read_samples(rules: SampleRules, value: Any, origin: str) -> None:
    more = ("opened",) if type(value) is dict and "opened" in value else ()
    said = members_of(value, ("terms", "given", "passed", "standing", "tallies", *more))
    terms = [_read_leaf(one, "sample.terms", origin) for one in exactly(said["terms"], list)]
    rules.terms = {one["id"]: one for one in terms}
    rules.given = dict_in(said["given"], _read_given)
    rules.passed = dict_in(said["passed"], lambda one: frozenset(texts_in(one)))
    rules.opened = dict_in(said.get("opened", []), text_in)
    standing = [_read_sample(one, origin) for one in exactly(said["standing"], list)]
    rules.standing = {one.leaf["id"]: one for one in standing}
    width = len(fields(Tally))
    rules.tallies = dict_in(
        said["tallies"], lambda one: Tally(*map(whole_in, parts_of(one, width)))
    )


def _read_filed(value: Any, origin: str) -> Filed:
    """A hold; its leaves have the form that they had when they were read."""
    told = [name for name in ("justified", "writers") if type(value) is dict and name in value]
    said = members_of(value, (*_FILED, *told))

    def leaf(found: Any, kind: str) -> Json:
        return _read_leaf(found, kind, origin)

    settled, seeded = said["settled"], said["leaf"]["type"] == "hold.seeded"
    return Filed(
        text_in(said["hold"]),
        leaf(said["leaf"], "hold.seeded" if seeded else "hold.filed"),
        tuple(leaf(one, "hold.review") for one in exactly(said["reviews"], list)),
        None if settled is None else leaf(settled, "hold.settled"),
        maybe_text(said["intent"]),
        maybe_text(said["outcome"]),
        leaf(said["justified"], "hold.justified") if "justified" in told else None,
        frozenset(texts_in(said["writers"])) if "writers" in told else frozenset(),
    )


_BOOK = (
    *("writer", "pruned", "boots", "sessions", "intents", "closed", "decided", "answers"),
    *("holds", "held", "held_answers", "appeals", "officers"),
)
_MORE = ("halts", "grants", "drafts", "samples", "break_glass")
_OFFICERS = ("duties", "pairs", "holds", "begun", "open", "erased", "runs")


def read_book(value: Any, origin: str, memory: int | None) -> Book:
    """The book as it was. Raises BadCarried, BadEvent, KeyError, TypeError."""
    more = tuple(one for one in _MORE if type(value) is dict and one in value)
    said, book = members_of(value, (*_BOOK, *more)), Book(memory)
    writer = members_of(said["writer"], ("boot", "down", "cut"))
    cut = writer["cut"]
    book.writer = {
        "boot": maybe_text(writer["boot"]),
        "down": exactly(writer["down"], bool),
        "cut": None if cut is None else whole_in(cut),
    }
    book.pruned = members_of(dict_in(said["pruned"], whole_in), ("size",))
    book.boots = dict_in(said["boots"], whole_in)
    book.sessions = dict.fromkeys(texts_in(said["sessions"]), True)
    book.intents = dict_in(said["intents"], _read_intent)
    book.closed = dict_in(said["closed"], text_in)
    book.decided = dict_in(said["decided"], _read_decided)
    book.answers = dict_in(said["answers"], _read_answer)
    filed = [_read_filed(one, origin) for one in exactly(said["holds"], list)]
    book.holds = {one.hold: one for one in filed}
    book.held = dict_in(said["held"], text_in)
    book.held_answers = dict_in(said["held_answers"], text_in)
    book.appeals = dict_in(said["appeals"], whole_in)
    standing = [_read_halt(one, origin) for one in exactly(said.get("halts", []), list)]
    book.halts.standing = {one.leaf["id"]: one for one in standing}
    if "grants" in said:
        _read_grants(book.grants, said["grants"], origin)
    if "drafts" in said:
        drafts = members_of(said["drafts"], ("wanted", "open"))
        book.drafts.wanted = dict_in(drafts["wanted"], whole_in)
        book.drafts.open = dict_in(drafts["open"], texts_in)
    if "samples" in said:
        _read_samples(book.samples, said["samples"], origin)
    if "break_glass" in said:
        read_break_glass(
            book.break_glass, said["break_glass"], lambda one, kind: _read_leaf(one, kind, origin)
        )
    officers = members_of(said["officers"], _OFFICERS)
    book.officers.duties = dict_in(officers["duties"], texts_in)
    book.officers.pairs = dict_in(officers["pairs"], texts_in)
    book.officers.holds = dict_in(officers["holds"], text_in)
    book.officers.begun = dict_in(officers["begun"], text_in)
    book.officers.open = dict_in(officers["open"], text_in)
    book.officers.erased = dict_in(officers["erased"], whole_in)
    book.officers.runs = dict_in(officers["runs"], whole_in)
    return book


_CUSTODY = (
    *("officers", "two", "holds", "begun", "erased", "erased_us", "pruning"),
    *("shelves", "seen_us", "leap_us"),
)
_SHELVES = ("days", "begun", "ended", "spared", "turns")


def _read_shelves(value: Any) -> Shelves:
    said, shelves = members_of(value, _SHELVES), Shelves()
    shelves.days = dict_in(said["days"], lambda days: None if days is None else whole_in(days))
    if said["begun"] is not None:
        event, over = parts_of(said["begun"], 2)
        shelves.begun = BegunRun(text_in(event), dict_in(over, whole_in))
    shelves.ended = dict_in(said["ended"], whole_in)
    for one in exactly(said["spared"], list):
        person, exchange = parts_of(one, 2)
        shelves.spared.add(LegalHold(text_in(person), text_in(exchange) or None))
    shelves.turns = dict_in(said["turns"], _read_turns)
    return shelves


def _read_turns(value: Any) -> list[tuple[int, bool]]:
    turns = [parts_of(turn, 2) for turn in exactly(value, list)]
    return [(whole_in(since), bool(exactly(daily, bool))) for since, daily in turns]


def read_custody(value: Any) -> Custody:
    """The custody as it was. Raises BadCarried."""
    said = members_of(value, _CUSTODY)
    officers = [parts_of(one, 3) for one in exactly(said["officers"], list)]
    holds = [parts_of(one, 3) for one in exactly(said["holds"], list)]
    pruning = None
    if said["pruning"] is not None:
        size, state = parts_of(said["pruning"], 2)
        pruning = Pruning(whole_in(size), text_in(state))
    return Custody(
        {
            text_in(name): Office(text_in(shown), texts_in(duties))
            for name, shown, duties in officers
        },
        texts_in(said["two"]),
        {
            text_in(name): LegalHold(text_in(who), maybe_text(exchange))
            for name, who, exchange in holds
        },
        dict_in(said["begun"], text_in),
        dict_in(said["erased"], text_in),
        whole_in(said["erased_us"]),
        _read_shelves(said["shelves"]),
        whole_in(said["seen_us"]),
        whole_in(said["leap_us"]),
        pruning,
    )
