"""What a report has to say, worked out from the events by other code than the report's own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sekisho_audit.exports.inert import visible
from sekisho_audit.exports.report import words_of
from support.report_page import Page, Row

Leaf = Mapping[str, Any]
TOLD_ELSEWHERE = {"session", "intent", "engine", "took_us", "memo", "binding", "stream", "path"}
SAID = {"effect", "decision", "state", "status", "stage"}
LONGEST = 2_000
CALENDAR_US = 2**52
COUNTED = {
    "by_type": None,
    "by_effect": ("policy.decision", "effect"),
    "by_state": ("hold.settled", "state"),
    "by_status": ("backend.outcome", "status"),
}


def utc(moment_us: int) -> str:
    """To the millisecond."""
    moment = datetime.fromtimestamp(moment_us // 1_000_000, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment_us // 1_000 % 1_000:03d}Z"


def local(moment_us: int, zone: ZoneInfo) -> str:
    """Read again, it is the same second as in UTC."""
    text = f"{datetime.fromtimestamp(moment_us // 1_000_000, zone):%Y-%m-%d %H:%M:%S %z}"
    read = datetime.strptime(text, "%Y-%m-%d %H:%M:%S %z")
    assert read == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=moment_us // 1_000_000)
    return text


def shown(text: str) -> str:
    """A text as a page shows it."""
    return visible(text if len(text) <= LONGEST else text[:LONGEST] + "…")


@dataclass(frozen=True)
class Truth:
    """What is so, in a language and with the local time of a zone."""

    language: str
    zone: ZoneInfo

    @property
    def words(self) -> Mapping[str, Any]:
        """The words of the language."""
        return words_of(self.language)

    def at(self, moment_us: int) -> str:
        """A moment, told twice."""
        return f"{utc(moment_us)} · {local(moment_us, self.zone)}"

    def compare(self, page: Page, leaves: Sequence[Leaf]) -> None:
        """All counts and all rows of a report that shows everything."""
        words = self.words
        exchanges = {(leaf["exchange"], leaf["principal"] or leaf["actor"]) for leaf in leaves}
        totals = {
            "exchanges": len([exchange for exchange, _ in exchanges if exchange is not None]),
            "singles": len([leaf for leaf in leaves if leaf["exchange"] is None]),
            "events": len(leaves),
        }
        for name, count in totals.items():
            assert page.totals[words[name]] == f"{count:,}", name
        for name in COUNTED:
            assert page.counted.get(words[name], {}) == self._counted(name, leaves), name
        rows = {row.index: row for row in page.rows}
        assert len(rows) == len(page.rows), "an event is told twice"
        assert rows.keys() == {str(leaf["n"]) for leaf in leaves}
        for leaf in leaves:
            self._same(rows[str(leaf["n"])], leaf)

    def _counted(self, name: str, leaves: Sequence[Leaf]) -> dict[str, str]:
        about = COUNTED[name]
        counts, titles = Counter[str](), self.words["said" if about else "types"]
        for leaf in leaves:
            if about is None:
                counts[leaf["type"]] += 1
            elif leaf["type"] == about[0]:
                counts[leaf["data"][about[1]]] += 1
        return {
            (f"{titles[one]} {one}" if one in titles else one): f"{count:,}"
            for one, count in counts.items()
        }

    def _same(self, row: Row, leaf: Leaf) -> None:
        """A row tells its event, all of it and nothing else."""
        words, kind = self.words, leaf["type"]
        assert (row.utc, row.local) == (utc(leaf["ts"]), local(leaf["ts"], self.zone))
        title = words["types"].get(kind)
        assert row.what == (f"{title} {kind}" if title else kind)
        assert row.who == self._who(leaf)
        if leaf["exchange"] is None:
            assert row.heading == words["singles_title"]
        else:
            owner = leaf["principal"] or leaf["actor"]
            whose = f" · {words['principal']} {owner}" if owner else ""
            assert row.heading == f"{words['exchange']} {leaf['exchange']}{whose}"
        facts = row.details[: len(row.details) - len(leaf["pl"])]
        for (name, told), entry in zip(row.details[len(facts) :], leaf["pl"], strict=True):
            length = words["bytes"].format(count=f"{entry['len']:,}")
            assert (name, told) == (words["sealed"], f"{visible(entry['name'])} ({length})")
        self._facts(facts, leaf)

    def _facts(self, facts: Sequence[tuple[str, str]], leaf: Leaf) -> None:
        wanted = {
            self._label(leaf["type"], name): (name, value)
            for name, value in leaf["data"].items()
            if name not in TOLD_ELSEWHERE and value is not None and value not in ([], {})
        }
        assert len(dict(facts)) == len(facts), "two facts of one name"
        assert wanted.keys() == {name for name, _ in facts}
        for label, told in facts:
            self._told(*wanted[label], told)

    def _who(self, leaf: Leaf) -> str:
        actor, person = leaf["actor"] or "", leaf["data"].get("person")
        if leaf["type"] == "hold.review" and actor and person not in {None, "", actor}:
            return str(self.words["stood_in"]).format(actor=actor, person=person)
        return str(actor)

    def _label(self, kind: str, name: str) -> str:
        """Some members mean another thing in another event."""
        meant = self.words["labels_of"].get(kind, {})
        return str(meant.get(name) or self.words["labels"].get(name, name))

    def _told(self, name: str, value: Any, told: str) -> None:
        """A fact is told as it is."""
        if name.endswith("_us"):
            assert abs(value) >= CALENDAR_US or told == self.at(value)
        elif name in {"reasons", "observed", "thresholds"} and isinstance(value, list):
            for one in value:
                self._parts(one, told)
        elif isinstance(value, str):
            known = self.words["said"].get(value) if name in SAID else None
            assert told == (f"{known} {value}" if known else shown(value))
        elif isinstance(value, list) and all(isinstance(one, str) for one in value):
            assert told == " · ".join(map(shown, value))
        else:
            assert told == shown(json.dumps(value, ensure_ascii=False, sort_keys=True))

    def _parts(self, one: Mapping[str, Any], told: str) -> None:
        if sum(len(str(part)) for part in one.values()) > LONGEST:
            return  # what is so long may be cut
        for part in one.values():
            for text in part if isinstance(part, list) else [part]:
                assert visible(str(text)) in told
