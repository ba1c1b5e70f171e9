"""What the leaves before a cut leave behind for those after it: the rules' state, as JSON and back.

Read back, it is what it was: keys keep their order, because the oldest are forgotten first. It
comes from a file that an attacker may have written, so every value is looked at before it is used;
whether it is the one that the ledger recorded is for others to say (`pruned.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, fields
from typing import Any, TypeVar

from sekisho_audit.custody import Custody, Office, Pruning
from sekisho_audit.draft_rules import DraftRules
from sekisho_audit.form import check_leaf
from sekisho_audit.grant_rules import Grant, GrantRules, Use
from sekisho_audit.halt_rules import Standing
from sekisho_audit.officer_rules import OfficerRules
from sekisho_audit.rules import MEMORY_EVENTS, Book
from sekisho_audit.sample_rules import Sample, SampleRules, Tally
from sekisho_audit.shelves import BegunRun, LegalHold, Shelves
from sekisho_audit.standing import Answer, Decided, Filed, Intent

# A writer forgets when a quarter too many are kept: so much is what one can know at most.
CARRIED_EVENTS = MEMORY_EVENTS + MEMORY_EVENTS // 4

T = TypeVar("T")
Json = dict[str, Any]


class BadCarried(ValueError):
    """It does not read as the state of rules."""


def book_json(book: Book) -> Json:
    """The state of a book between two leaves."""
    # Told only where there are some: a ledger that knows no switches keeps the state it had.
    halts = [_halt_json(one) for one in book.halts.standing.values()]
    return {
        **({"halts": halts} if halts else {}),
        **_grants_json(book.grants),
        **_drafts_json(book.drafts),
        **_samples_json(book.samples),
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
    if not rules.terms:
        return {}
    told = {
        "terms": list(rules.terms.values()),
        "given": _pairs(rules.given, _same),
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


def _of(value: Any, *kinds: type) -> Any:
    """The value, if it is exactly of one of these types."""
    if type(value) not in kinds:
        raise BadCarried(f"{str(value)[:40]!r} is not what it must be")
    return value


def _text(value: Any) -> str:
    return str(_of(value, str))


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_text(item) for item in _of(value, list))


def _maybe(value: Any) -> str | None:
    return None if value is None else _text(value)


def _whole(value: Any) -> int:
    return int(_of(value, int))


def _parts(value: Any, count: int) -> list[Any]:
    found: list[Any] = _of(value, list)
    if len(found) != count:
        raise BadCarried(f"{count} values belong together, not {len(found)}")
    return found


def _dict(value: Any, read: Callable[[Any], T]) -> dict[str, T]:
    found: dict[str, T] = {}
    for item in _of(value, list):
        key, said = _parts(item, 2)
        if _text(key) in found:
            raise BadCarried(f"{key[:40]!r} is there twice")
        found[key] = read(said)
    return found


def _members(value: Any, names: tuple[str, ...]) -> Json:
    if type(value) is not dict or value.keys() != set(names):
        raise BadCarried(f"it has not the members {', '.join(names)}")
    return dict(value)


def _read_intent(value: Any) -> Intent:
    session, exchange, hold, principal, index = _parts(value, 5)
    return Intent(_text(session), _text(exchange), _maybe(hold), _maybe(principal), _whole(index))


def _read_decided(value: Any) -> Decided:
    justify = len(_of(value, list)) == _DECIDED_PARTS + 1
    effect, must_hold, revision, asked, *more = _parts(value, _DECIDED_PARTS + justify)
    if justify and not _of(more[0], bool):
        raise BadCarried("what was not asked for is not told")
    thresholds = _read_asked(asked)
    held = bool(_of(must_hold, bool))
    return Decided(_text(effect), held, _maybe(revision), thresholds, justify)


def _read_asked(value: Any) -> tuple[Any, ...] | None:
    return None if value is None else tuple(_of(value, list))


def _read_answer(value: Any) -> Answer:
    if type(value) is list:  # written before answers could be held
        old = _read_decided(value)
        foreseen = {"response": old.thresholds} if old.must_hold else {}
        return Answer(foreseen, denied=old.effect == "deny")
    more = tuple(one for one in ("ruled", "granted") if type(value) is dict and one in value)
    said = _members(value, (*_ANSWER, *more))
    return Answer(
        _dict(said["foreseen"], _read_asked),
        _dict(said["asked"], _read_asked),
        _of(said["calls"], bool),
        _of(said["denied"], bool),
        _maybe(said["held"]),
        _maybe(said["principal"]),
        _texts(said["ruled"]) if "ruled" in said else None,
        _of(said.get("granted", False), bool),
    )


_ANSWER = ("foreseen", "asked", "calls", "denied", "held", "principal")
_DECIDED_PARTS = 4
_FILED = ("hold", "leaf", "reviews", "settled", "intent", "outcome")


def _read_leaf(found: Any, kind: str, origin: str) -> Json:
    check_leaf(found, found["n"], origin)
    if found["type"] != kind:
        raise BadCarried(f"a {found['type']} stands where a {kind} must")
    return dict(found)


def _read_halt(value: Any, origin: str) -> Standing:
    said = _members(value, ("set", "proposed"))
    proposed = said["proposed"]
    return Standing(
        _read_leaf(said["set"], "halt.set", origin),
        None if proposed is None else _read_leaf(proposed, "halt.lift_proposed", origin),
    )


def _read_grant(value: Any, origin: str) -> Grant:
    said = _members(value, ("leaf", "confirmed", "used", "halted"))
    confirmed = said["confirmed"]
    return Grant(
        _read_leaf(said["leaf"], "grant.proposed", origin),
        None if confirmed is None else _read_leaf(confirmed, "grant.confirmed", origin),
        _whole(said["used"]),
        _of(said["halted"], bool),
    )


def _read_grants(rules: GrantRules, value: Any, origin: str) -> None:
    said = _members(value, ("standing", "named", "cleared"))
    standing = [_read_grant(one, origin) for one in _of(said["standing"], list)]
    rules.standing = {one.leaf["id"]: one for one in standing}
    for one in _of(said["named"], list):
        pair = _members(one, ("use", "grant"))
        use = _read_leaf(pair["use"], "grant.used", origin)
        rules.named[use["data"]["decision"]] = Use(use, _read_grant(pair["grant"], origin))
    rules.cleared = _dict(said["cleared"], _maybe)


def _read_sample(value: Any, origin: str) -> Sample:
    names = ("leaf", "needed", "until_us", "barred", "shown", "verdicts", "content")
    said = _members(value, names)
    return Sample(
        _read_leaf(said["leaf"], "sample.drawn", origin),
        _whole(said["needed"]),
        _whole(said["until_us"]),
        frozenset(_texts(said["barred"])),
        frozenset(_texts(said["shown"])),
        tuple(_read_leaf(one, "sample.judged", origin) for one in _of(said["verdicts"], list)),
        _text(said["content"]),
    )


def _read_samples(rules: SampleRules, value: Any, origin: str) -> None:
    said = _members(value, ("terms", "given", "passed", "standing", "tallies"))
    terms = [_read_leaf(one, "sample.terms", origin) for one in _of(said["terms"], list)]
    rules.terms = {one["id"]: one for one in terms}
    rules.given = _dict(said["given"], _maybe)
    rules.passed = _dict(said["passed"], lambda one: frozenset(_texts(one)))
    standing = [_read_sample(one, origin) for one in _of(said["standing"], list)]
    rules.standing = {one.leaf["id"]: one for one in standing}
    width = len(fields(Tally))
    rules.tallies = _dict(said["tallies"], lambda one: Tally(*map(_whole, _parts(one, width))))


def _read_filed(value: Any, origin: str) -> Filed:
    """A hold; its leaves have the form that they had when they were read."""
    told = [name for name in ("justified", "writers") if type(value) is dict and name in value]
    said = _members(value, (*_FILED, *told))

    def leaf(found: Any, kind: str) -> Json:
        return _read_leaf(found, kind, origin)

    settled, seeded = said["settled"], said["leaf"]["type"] == "hold.seeded"
    return Filed(
        _text(said["hold"]),
        leaf(said["leaf"], "hold.seeded" if seeded else "hold.filed"),
        tuple(leaf(one, "hold.review") for one in _of(said["reviews"], list)),
        None if settled is None else leaf(settled, "hold.settled"),
        _maybe(said["intent"]),
        _maybe(said["outcome"]),
        leaf(said["justified"], "hold.justified") if "justified" in told else None,
        frozenset(_texts(said["writers"])) if "writers" in told else frozenset(),
    )


_BOOK = (
    *("writer", "pruned", "boots", "sessions", "intents", "closed", "decided", "answers"),
    *("holds", "held", "held_answers", "appeals", "officers"),
)
_MORE = ("halts", "grants", "drafts", "samples")
_OFFICERS = ("duties", "pairs", "holds", "begun", "open", "erased", "runs")


def read_book(value: Any, origin: str, memory: int | None) -> Book:
    """The book as it was. Raises BadCarried, BadEvent, KeyError, TypeError."""
    more = tuple(one for one in _MORE if type(value) is dict and one in value)
    said, book = _members(value, (*_BOOK, *more)), Book(memory)
    writer = _members(said["writer"], ("boot", "down", "cut"))
    cut = writer["cut"]
    book.writer = {
        "boot": _maybe(writer["boot"]),
        "down": _of(writer["down"], bool),
        "cut": None if cut is None else _whole(cut),
    }
    book.pruned = _members(_dict(said["pruned"], _whole), ("size",))
    book.boots = _dict(said["boots"], _whole)
    book.sessions = dict.fromkeys(_texts(said["sessions"]), True)
    book.intents = _dict(said["intents"], _read_intent)
    book.closed = _dict(said["closed"], _text)
    book.decided = _dict(said["decided"], _read_decided)
    book.answers = _dict(said["answers"], _read_answer)
    filed = [_read_filed(one, origin) for one in _of(said["holds"], list)]
    book.holds = {one.hold: one for one in filed}
    book.held = _dict(said["held"], _text)
    book.held_answers = _dict(said["held_answers"], _text)
    book.appeals = _dict(said["appeals"], _whole)
    standing = [_read_halt(one, origin) for one in _of(said.get("halts", []), list)]
    book.halts.standing = {one.leaf["id"]: one for one in standing}
    if "grants" in said:
        _read_grants(book.grants, said["grants"], origin)
    if "drafts" in said:
        drafts = _members(said["drafts"], ("wanted", "open"))
        book.drafts.wanted = _dict(drafts["wanted"], _whole)
        book.drafts.open = _dict(drafts["open"], _texts)
    if "samples" in said:
        _read_samples(book.samples, said["samples"], origin)
    officers = _members(said["officers"], _OFFICERS)
    book.officers.duties = _dict(officers["duties"], _texts)
    book.officers.pairs = _dict(officers["pairs"], _texts)
    book.officers.holds = _dict(officers["holds"], _text)
    book.officers.begun = _dict(officers["begun"], _text)
    book.officers.open = _dict(officers["open"], _text)
    book.officers.erased = _dict(officers["erased"], _whole)
    book.officers.runs = _dict(officers["runs"], _whole)
    return book


_CUSTODY = (
    *("officers", "two", "holds", "begun", "erased", "erased_us", "pruning"),
    *("shelves", "seen_us", "leap_us"),
)
_SHELVES = ("days", "begun", "ended", "spared", "turns")


def _read_shelves(value: Any) -> Shelves:
    said, shelves = _members(value, _SHELVES), Shelves()
    shelves.days = _dict(said["days"], lambda days: None if days is None else _whole(days))
    if said["begun"] is not None:
        event, over = _parts(said["begun"], 2)
        shelves.begun = BegunRun(_text(event), _dict(over, _whole))
    shelves.ended = _dict(said["ended"], _whole)
    for one in _of(said["spared"], list):
        person, exchange = _parts(one, 2)
        shelves.spared.add(LegalHold(_text(person), _text(exchange) or None))
    shelves.turns = _dict(said["turns"], _read_turns)
    return shelves


def _read_turns(value: Any) -> list[tuple[int, bool]]:
    turns = [_parts(turn, 2) for turn in _of(value, list)]
    return [(_whole(since), bool(_of(daily, bool))) for since, daily in turns]


def read_custody(value: Any) -> Custody:
    """The custody as it was. Raises BadCarried."""
    said = _members(value, _CUSTODY)
    officers = [_parts(one, 3) for one in _of(said["officers"], list)]
    holds = [_parts(one, 3) for one in _of(said["holds"], list)]
    pruning = None
    if said["pruning"] is not None:
        size, state = _parts(said["pruning"], 2)
        pruning = Pruning(_whole(size), _text(state))
    return Custody(
        {_text(name): Office(_text(shown), _texts(duties)) for name, shown, duties in officers},
        _texts(said["two"]),
        {_text(name): LegalHold(_text(who), _maybe(exchange)) for name, who, exchange in holds},
        _dict(said["begun"], _text),
        _dict(said["erased"], _text),
        _whole(said["erased_us"]),
        _read_shelves(said["shelves"]),
        _whole(said["seen_us"]),
        _whole(said["leap_us"]),
        pruning,
    )
