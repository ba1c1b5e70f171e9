"""Leaves to search in, and what a search must find: decided by reading every leaf and text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from sekisho_audit.index import Index
from sekisho_audit.index_file import SqliteRows
from sekisho_audit.query import Phrase, Query, Term
from sekisho_audit.search import Found, Search
from sekisho_audit.tokens import Blind, matches

ORIGIN = "ledger.example/test"
KEY = bytes(range(32))
NOBODY = "p-ffffffffffffffff"  # whose keys seal what belongs to no person
PEOPLE = tuple(f"p-{number:016x}" for number in range(1, 5))
NAMES = dict(zip(("staff-1", "staff-2", "reviewer-1", "reviewer-2"), PEOPLE, strict=True))
EXCHANGES = tuple(f"01a0b1c2-0000-7000-8000-{number:012x}" for number in range(5))
# Few letters, so that phrases meet; with borders of scripts, breaks and forms that fold together.
ALPHABET = "ab身份证ケヶ약관 ,é１か\u3099ﾊﾟA👍"
DAY_US = 86_400_000_000
START_US = 20_000 * DAY_US

Leaf = dict[str, Any]
Texts = dict[tuple[int, str], str | None]


@dataclass(frozen=True)
class World:
    """A ledger's leaves and what their payloads say (None: erased)."""

    leaves: tuple[Leaf, ...]
    texts: Texts

    def opener(self, leaf: Mapping[str, Any], name: str) -> str | None:
        """The text of a payload."""
        return self.texts[leaf["n"], name]

    def numbered(self, start: int = 0, end: int | None = None) -> list[tuple[int, Leaf]]:
        """Leaves with their places."""
        return [(leaf["n"], leaf) for leaf in self.leaves[start:end]]


def knows_all(pseudonym: str) -> bool:
    """Nobody is forgotten."""
    return pseudonym in PEOPLE


def open_index(
    path: Path, world: World, knows: Callable[[str], bool] = knows_all
) -> tuple[SqliteRows, Index, Search]:
    """An index in a file, to be built and to be searched."""
    blind = Blind(KEY)
    rows = SqliteRows(path, ORIGIN, blind.check)
    index = Index(rows, blind, world.opener, knows)
    return rows, index, Search(rows, blind, NAMES.get)


def leaf_of(n: int, kind: str, data: Leaf | None = None, **more: Any) -> Leaf:
    """A leaf; `texts` names its stored payloads, `unstored` those that were not kept."""
    names = [(name, True) for name in more.pop("texts", ())]
    names += [(name, False) for name in more.pop("unstored", ())]
    whose = more.get("principal", PEOPLE[0]) or more.get("actor") or NOBODY
    leaf = {
        "v": 1,
        "id": f"01a0b1c2-1111-7000-8000-{n:012x}",
        "log": ORIGIN,
        "n": n,
        "boot": "01a0b1c2-2222-7000-8000-000000000000",
        "ts": START_US + n,
        "type": kind,
        "exchange": EXCHANGES[0],
        "principal": PEOPLE[0],
        "actor": None,
        "data": data or {},
        "pl": [
            {"name": name, "kref": f"{whose}/2026-11", **({"ct": "0" * 64} if kept else {})}
            for name, kept in names
        ],
    }
    return {**leaf, **more}


def received(model: str = "gpt-4", endpoint: str = "chat") -> Leaf:
    """Data of a request."""
    return {"endpoint": endpoint, "model": model, "stream": False, "credential": "k", "bytes": 1}


def decided(effect: str = "allow", rules: Sequence[str] = (), code: str = "ok") -> Leaf:
    """Data of a decision."""
    reasons = [{"code": code, "rule": rule, "msg": "m"} for rule in rules]
    return {
        "stage": "request",
        "effect": effect,
        "reasons": reasons,
        "rules": list(rules),
        "revision": "sha256:0",
        "engine": "opa",
        "obligations": {},
        "took_us": 1,
        "memo": False,
    }


def filed(person: str | None = None) -> Leaf:
    """Data of a hold."""
    data = {
        "hold": "h",
        "version": 1,
        "stage": "request",
        "binding": "b",
        "expires_us": 1,
        "thresholds": [],
        "backend": "openai",
        "model": "gpt-4",
        "revision": "sha256:1",
        "risk": 1,
    }
    return {**data, "person": person} if person else data


def outcome(status: str = "released", spend: int | None = None) -> Leaf:
    """Data of an outcome."""
    charged = {} if spend is None else {"charged": {"tokens": spend * 2, "spend_micros": spend}}
    return {"intent": "i", "status": status, **charged}


_DATA = st.one_of(
    st.builds(
        lambda model, end: ("request.received", received(model, end)),
        st.sampled_from(["gpt-4", "gpt-5", "qwen[1]", "o?"]),
        st.sampled_from(["chat", "messages"]),
    ),
    st.builds(
        lambda effect, rules, code: ("policy.decision", decided(effect, rules, code)),
        st.sampled_from(["allow", "hold", "deny"]),
        st.lists(st.sampled_from(["dlp.cn_id", "dlp.secret", "office.hours"]), max_size=2),
        st.sampled_from(["ok", "masked"]),
    ),
    st.builds(lambda who: ("hold.filed", filed(who)), st.sampled_from([None, *PEOPLE])),
    st.builds(
        lambda state: ("hold.settled", {"state": state}),
        st.sampled_from(["approved", "denied", "expired"]),
    ),
    st.just(("backend.intent", {"backend": "local", "model": "gpt-4", "revision": "sha256:1"})),
    st.builds(
        lambda status, spend: ("backend.outcome", outcome(status, spend)),
        st.sampled_from(["released", "failed"]),
        st.sampled_from([None, 3]),
    ),
    st.just(("exchange.refused", {"code": "denied", "status": 403, "stage": "request"})),
    st.just(("hold.review", {})),
    st.just(("key.created", {"key": "k-1"})),
)


@st.composite
def worlds(draw: st.DrawFn, events_max: int = 14) -> World:
    """Leaves of a few people and exchanges, in any order, with texts of few letters."""
    leaves, texts = [], {}
    for n in range(draw(st.integers(0, events_max))):
        kind, data = draw(_DATA)
        alone = kind == "key.created"
        stored = draw(st.lists(st.sampled_from(["prompt", "answer"]), max_size=2, unique=True))
        unstored = draw(st.sampled_from([[], [], [], ["outgoing"], ["reason"]]))
        exchange = None if alone else draw(st.sampled_from(EXCHANGES))
        # One exchange has one principal, as a rule; the index must not lean on it.
        mixed = draw(st.integers(0, 9)) == 0
        owner = 0 if exchange is None or mixed else EXCHANGES.index(exchange) % len(PEOPLE)
        leaves.append(
            leaf_of(
                n,
                kind,
                data,
                exchange=exchange,
                principal=None if alone and draw(st.booleans()) else PEOPLE[owner],
                actor=draw(st.sampled_from([None, None, *PEOPLE])),
                ts=START_US + draw(st.integers(0, 4 * DAY_US)),
                texts=stored,
                unstored=unstored,
            )
        )
        for name in stored:
            texts[n, name] = draw(st.none() | st.text(ALPHABET, max_size=12))
    return World(tuple(leaves), texts)


_TERMS = st.one_of(
    st.builds(Term, st.just("principal"), st.sampled_from([*NAMES, PEOPLE[1], "nobody"])),
    st.builds(Term, st.just("actor"), st.sampled_from([*NAMES])),
    st.builds(Term, st.just("exchange"), st.sampled_from(EXCHANGES)),
    st.builds(Term, st.just("effect"), st.sampled_from(["allow", "hold", "deny"])),
    st.builds(Term, st.just("rule"), st.sampled_from(["dlp.*", "*.*s*", "none.*"]), st.just(True)),
    st.builds(Term, st.just("rule"), st.sampled_from(["dlp.cn_id", "dlp.*"])),
    st.builds(Term, st.just("model"), st.sampled_from(["gpt-*", "*[1]", "o?*"]), st.just(True)),
    st.builds(Term, st.just("reason"), st.just("masked")),
    st.builds(Term, st.just("revision"), st.just("sha256:1")),
    st.builds(Term, st.just("backend"), st.sampled_from(["openai", "local"])),
    st.builds(Term, st.just("endpoint"), st.just("chat")),
    st.builds(Term, st.just("code"), st.just("denied")),
    st.builds(Term, st.just("stage"), st.just("request")),
    st.builds(Term, st.just("state"), st.sampled_from(["filed", "approved"])),
    st.builds(Term, st.just("status"), st.sampled_from(["released", "refused"])),
    st.builds(Term, st.just("type"), st.sampled_from(["hold.*", "*.received"]), st.just(True)),
)
_PHRASES = st.text(ALPHABET, min_size=1, max_size=4).filter(lambda text: bool(text.strip(" ,")))
_NEGATED = st.sampled_from([False, False, True])


@st.composite
def queries(draw: st.DrawFn) -> Query:
    """Queries that often meet something in `worlds`."""
    terms = [
        Term(term.field, term.value, term.pattern, draw(_NEGATED))
        for term in draw(st.lists(_TERMS, max_size=3))
    ]
    phrases = [
        Phrase(text, draw(_NEGATED))
        for text in draw(st.lists(_PHRASES, max_size=2))
        if matches(text, text)
    ]
    bounds = draw(st.sampled_from(["", "", "", "after", "before", "both"]))
    day = START_US + draw(st.integers(0, 4)) * DAY_US if bounds else START_US
    return Query(
        tuple(dict.fromkeys(terms)),
        tuple(dict.fromkeys(phrases)),
        day if bounds in {"after", "both"} else None,
        day + DAY_US if bounds in {"before", "both"} else None,
    )


# -- what must be found, read from the leaves themselves

_MEMBERS = {
    "endpoint": ("request.received",),
    "model": ("request.received", "hold.filed", "backend.intent"),
    "backend": ("hold.filed", "backend.intent"),
    "effect": ("policy.decision",),
    "stage": ("policy.decision", "hold.filed", "exchange.refused", "exchange.cancelled"),
    "revision": ("policy.decision", "hold.filed", "backend.intent"),
    "code": ("exchange.refused",),
}


def words_in(leaf: Leaf, field: str) -> set[str]:
    """What a leaf says of a field."""
    kind, data = leaf["type"], leaf["data"]
    if field in _MEMBERS:
        return {data[field]} if kind in _MEMBERS[field] else set()
    said = {
        "type": {kind},
        "principal": {leaf["principal"]} - {None},
        "actor": {leaf["actor"], data.get("person")} - {None},
        "exchange": {leaf["exchange"]} - {None},
        "rule": {*data.get("rules", ()), *(why["rule"] for why in data.get("reasons", ()))},
        "reason": {why["code"] for why in data.get("reasons", ())},
        "state": {"hold.filed": {"filed"}, "hold.settled": {data.get("state")}}.get(kind, set()),
        "status": {
            "backend.outcome": {data.get("status")},
            "exchange.refused": {"refused"},
        }.get(kind, set()),
    }
    return said[field]


def trails_of(world: World, size: int, gone: Iterable[str] = ()) -> list[list[Leaf]]:
    """The leaves of each trail, oldest trail first, without those of forgotten people."""
    trails: dict[object, list[Leaf]] = {}
    for leaf in world.leaves[:size]:
        owner = leaf["principal"] or leaf["actor"]
        if owner not in gone:
            key = (leaf["exchange"], owner) if leaf["exchange"] else leaf["n"]
            trails.setdefault(key, []).append(leaf)
    return list(trails.values())


def _term_met(trail: list[Leaf], term: Term, gone: Iterable[str]) -> bool:
    value = (
        NAMES.get(term.value, term.value) if term.field in {"principal", "actor"} else term.value
    )
    said = set().union(*(words_in(leaf, term.field) for leaf in trail)) - set(gone)
    if not term.pattern:
        return value in said
    shape = "*".join(part.replace("[", "[[]").replace("?", "[?]") for part in value.split("*"))
    return any(fnmatchcase(word, shape) for word in said)


def _fields_met(trail: list[Leaf], query: Query, gone: Iterable[str]) -> bool:
    begun = trail[0]["ts"]
    if begun < (query.after_us or 0) or begun >= (query.before_us or 2**62):
        return False
    wanted: dict[str, bool] = {}
    for term in query.terms:
        met = _term_met(trail, term, gone)
        if term.negated and met:
            return False
        if not term.negated:
            wanted[term.field] = wanted.get(term.field, False) or met
    return all(wanted.values())


def _texts_in(world: World, trail: list[Leaf]) -> tuple[list[str], bool]:
    """The texts of a trail that can be read, and whether there are others."""
    said: list[str] = []
    closed = False
    for leaf in trail:
        for entry in leaf["pl"]:
            text = world.texts[leaf["n"], entry["name"]] if "ct" in entry else None
            if text is not None:
                said.append(text)
            elif "ct" in entry or entry["name"] != "outgoing":
                closed = True
    return said, closed


def judged(world: World, trail: list[Leaf], query: Query, gone: Iterable[str] = ()) -> bool | None:
    """Whether a trail meets a query; None if that cannot be told."""
    if not _fields_met(trail, query, gone):
        return False
    said, closed = _texts_in(world, trail)
    answers = []
    for phrase in query.phrases:
        there = True if any(matches(text, phrase.text) for text in said) else closed and None
        answers.append(there if not phrase.negated or there is None else not there)
    if False in answers:
        return False
    return None if None in answers else True


def expected(
    world: World, query: Query, size: int | None = None, gone: Iterable[str] = ()
) -> list[tuple[int, ...]]:
    """The places of the events of all trails that meet a query, newest first."""
    trails = trails_of(world, len(world.leaves) if size is None else size, gone)
    met = [trail for trail in trails if judged(world, trail, query, gone)]
    return [tuple(leaf["n"] for leaf in trail) for trail in reversed(met)]


def unsearched(world: World, query: Query, gone: Iterable[str] = ()) -> int:
    """How many trails cannot be told to meet a query."""
    trails = trails_of(world, len(world.leaves), gone)
    return sum(judged(world, trail, query, gone) is None for trail in trails)


def counted(world: World, query: Query, field: str) -> Counter[str]:
    """How many of the trails that meet a query say each word of a field."""
    counts: Counter[str] = Counter()
    for trail in trails_of(world, len(world.leaves)):
        if judged(world, trail, query):
            counts.update(set().union(*(words_in(leaf, field) for leaf in trail)))
    return counts


def all_pages(search: Search, query: Query, limit: int = 2) -> list[Found]:
    """Everything that a search finds."""
    page = search.page(query, "", limit)
    found = [*page.found]
    while page.after:
        page = search.page(query, page.after, limit)
        found += page.found
    return found


def places(found: Iterable[Found]) -> list[tuple[int, ...]]:
    """The places of the events of what was found."""
    return [trail.events for trail in found]
