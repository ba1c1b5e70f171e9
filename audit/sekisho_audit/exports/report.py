"""The report of a bundle: one page of HTML that needs nothing but itself.

No script, nothing loaded from anywhere, and a policy in the page that forbids both. All text that
is not ours goes through `inert.py`. The languages are data (`words/`), the same keys in each.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from sekisho_audit.exports.inert import escaped, isolated
from sekisho_audit.exports.timeline import Leaf, Timeline, Trail
from sekisho_audit.thresholds import FIRST_STEP, step_of

LANGUAGES = ("en", "zh", "ja")
VALUE_CHARS_MAX = 2_000
TEXT_CHARS_MAX = 20_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Told in a column of their own, or of no use to a reader.
_LEFT_OUT = frozenset(
    {"session", "intent", "engine", "took_us", "memo", "binding", "stream", "path"}
)
_STYLE = """
:root{color-scheme:light}
body{font:15px/1.5 system-ui,"Noto Sans","Noto Sans CJK SC","Noto Sans CJK JP","PingFang SC",
"Hiragino Sans","Microsoft YaHei","Yu Gothic",sans-serif;color:#1b1f24;max-width:72rem;
margin:2rem auto;padding:0 1.5rem}
:lang(ja){font-family:system-ui,"Noto Sans CJK JP","Hiragino Sans","Yu Gothic",sans-serif}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 .4rem}
h2{font-size:1.15rem;border-bottom:2px solid #1b1f24;padding-bottom:.2rem;margin:2.2rem 0 .8rem}
h3{font-size:1rem;margin:1.6rem 0 .4rem}
p.intro,footer{color:#4a5460}
table{border-collapse:collapse;width:100%}
th,td{text-align:start;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #d5dae0}
th{font-weight:600}
.events{table-layout:fixed}.events>*>tr>*{font-size:.94em;padding-inline:.5em}
.events th:nth-child(1){width:4.5em}.events th:nth-child(2),.events th:nth-child(3){width:9.5em}
.events th:nth-child(4){width:11em}.events th:nth-child(5){width:8em}
thead th{white-space:nowrap;background:#eef1f4;border-bottom:1px solid #1b1f24}
.facts th{width:19rem;font-weight:500;color:#4a5460}
.time{font-variant-numeric:tabular-nums}
.n{text-align:end;font-variant-numeric:tabular-nums;white-space:nowrap}
code,.raw{font-family:ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;font-size:.86em;
overflow-wrap:anywhere}
dl{margin:0;display:grid;grid-template-columns:max-content 1fr;gap:0 .7rem}
dt{color:#4a5460}dd{margin:0;overflow-wrap:anywhere}
ul.words{margin:0;padding-inline-start:1.1rem}
.counts{display:flex;flex-wrap:wrap;gap:1rem 2.5rem}.counts table{width:auto;min-width:14rem}
.deny td:first-child{border-inline-start:4px solid #b3261e}
.hold td:first-child{border-inline-start:4px solid #b97a00}
.allow td:first-child{border-inline-start:4px solid #2e7d32}
td:first-child{border-inline-start:4px solid transparent}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f6f8fa;border:1px solid #d5dae0;
padding:.6rem .8rem;font-size:.86em}
footer{margin-top:3rem;border-top:1px solid #d5dae0;padding-top:.6rem;font-size:.9em}
@media print{body{margin:0;max-width:none;font-size:11px}tr,pre{break-inside:avoid}
h2,h3{break-after:avoid}}
"""


@dataclass(frozen=True, slots=True)
class Text:
    """Disclosed content: which payload of which event, its text, and whether it is whole."""

    index: int
    exchange: str
    name: str
    file: str
    content: bytes
    whole: bool


@dataclass(frozen=True, slots=True)
class Case:
    """What stands at the head of a report, beside what the events say."""

    ledger: str
    query: str
    purpose: str
    ticket: str
    asked_by: str
    at_us: int
    export_index: int
    size: int
    checkpoint_size: int
    checkpoint_root: str
    erased: int
    forgotten: int
    zone: tzinfo
    zone_name: str
    texts: Sequence[Text] = ()


@cache
def words_of(language: str) -> Mapping[str, Any]:
    """All words of a language."""
    found: Mapping[str, Any] = json.loads(
        (files("sekisho_audit.exports") / "words" / f"{language}.json").read_text("utf-8")
    )
    return found


def report(language: str, case: Case, timeline: Timeline) -> Iterator[str]:
    """The page, piece by piece."""
    return _Report(words_of(language), case).pieces(timeline)


class _Report:
    def __init__(self, words: Mapping[str, Any], case: Case) -> None:
        self._words = words
        self._case = case

    def _word(self, key: str, **values: object) -> str:
        text: str = self._words[key]
        return escaped(text.format(**values) if values else text)

    def pieces(self, timeline: Timeline) -> Iterator[str]:
        digest = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()
        yield (
            f'<!doctype html>\n<html lang="{self._word("lang")}">\n<head>\n<meta charset="utf-8">\n'
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
            f"style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'\">\n"
            '<meta name="viewport" content="width=device-width">\n'
            '<meta name="referrer" content="no-referrer">\n'
            f"<title>{self._word('title')}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
            f'<h1>{self._word("title")}</h1>\n<p class="intro">{self._word("intro")}</p>\n'
        )
        yield self._head()
        yield self._counts(timeline)
        for name in ("proves", "proves_not", "check"):
            tag = "ol" if name == "check" else "ul"
            items = "".join(f"<li>{escaped(item)}</li>" for item in self._words[f"{name}_list"])
            yield f"<h2>{self._word(name)}</h2>\n<{tag}>{items}</{tag}>\n"
        yield from self._trails(timeline)
        yield f"<footer>{self._word('footer')}</footer>\n</body>\n</html>\n"

    def _head(self) -> str:
        case = self._case
        state = self._word(
            "checkpoint_value", size=f"{case.checkpoint_size:,}", root=case.checkpoint_root
        )
        lines = [
            ("ledger", isolated(case.ledger)),
            ("query", f'<span class="raw">{isolated(case.query)}</span>' if case.query else None),
            ("purpose", isolated(case.purpose)),
            ("ticket", isolated(case.ticket) if case.ticket else self._word("none")),
            ("asked_by", isolated(case.asked_by)),
            ("asked_at", f"{self._utc(case.at_us)} · {self._local(case.at_us)}"),
            ("export_event", f"{case.export_index:,}"),
            ("as_of", self._word("as_of_value", size=f"{case.size:,}")),
            ("checkpoint", f'<span class="raw">{state}</span>'),
            ("zone", isolated(case.zone_name)),
        ]
        rows = "".join(
            f'<tr><th scope="row">{self._word(key)}</th>'
            f"<td>{self._word('everything') if value is None else value}</td></tr>"
            for key, value in lines
        )
        return f'<h2>{self._word("case")}</h2>\n<table class="facts">{rows}</table>\n'

    def _counts(self, timeline: Timeline) -> str:
        case = self._case
        disclosed = len({text.exchange for text in case.texts})
        lines = [
            ("exchanges", len(timeline.trails)),
            ("singles", timeline.singles_count),
            ("events", timeline.events),
            ("erased", case.erased),
            ("forgotten", case.forgotten),
            ("disclosed", disclosed),
        ]
        rows = "".join(
            f'<tr><th scope="row">{self._word(key)}</th><td>{count:,}</td></tr>'
            for key, count in lines
        )
        tables = "".join(
            self._table(key, counter, titles)
            for key, counter, titles in (
                ("by_type", timeline.types, "types"),
                ("by_effect", timeline.effects, "said"),
                ("by_state", timeline.states, "said"),
                ("by_status", timeline.statuses, "said"),
            )
            if counter
        )
        return (
            f'<h2>{self._word("counts")}</h2>\n<table class="facts">{rows}</table>\n'
            f'<div class="counts">{tables}</div>\n'
        )

    def _table(self, key: str, counter: Mapping[str, int], titles: str) -> str:
        rows = "".join(
            f'<tr><td>{self._titled(titles, word)}</td><td class="n">{count:,}</td></tr>'
            for word, count in sorted(counter.items(), key=lambda item: (-item[1], item[0]))
        )
        return f"<div><h3>{self._word(key)}</h3><table>{rows}</table></div>"

    def _titled(self, table: str, word: str) -> str:
        """A word of the ledger in the reader's language, beside the word itself."""
        raw = f'<span class="raw">{isolated(word)}</span>'
        known = self._words[table].get(word)
        return raw if known is None else f"{escaped(known)} {raw}"

    # -- exchanges

    def _trails(self, timeline: Timeline) -> Iterator[str]:
        texts: dict[str, list[Text]] = {}
        for text in self._case.texts:
            texts.setdefault(text.exchange, []).append(text)
        yield f"<h2>{self._word('timeline')}</h2>\n"
        for trail in timeline.shown:
            yield self._trail(trail)
            for text in texts.get(trail.exchange, ()):
                yield self._text(text)
        yield self._more(len(timeline.trails) - len(timeline.shown))
        if timeline.singles:
            yield f"<h2>{self._word('singles_title')}</h2>\n{self._events(timeline.singles)}"
            yield self._more(timeline.singles_count - len(timeline.singles))

    def _more(self, count: int) -> str:
        return f"<p>{self._word('more', count=f'{count:,}')}</p>\n" if count else ""

    def _trail(self, trail: Trail) -> str:
        owner = trail.owner
        whose = f" · {self._word('principal')} <code>{isolated(owner)}</code>" if owner else ""
        return (
            f"<h3>{self._word('exchange')} <code>{isolated(trail.exchange)}</code>{whose}</h3>\n"
            + self._events(trail.leaves)
            + self._more(trail.unshown)
        )

    def _events(self, leaves: Iterable[Leaf]) -> str:
        heads = "".join(
            f'<th scope="col">{self._word(f"col_{name}")}</th>'
            for name in ("index", "utc", "local", "what", "who", "details")
        )
        rows = "".join(map(self._event, leaves))
        return (
            f'<table class="events"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>\n'
        )

    def _event(self, leaf: Leaf) -> str:
        return (
            f'<tr class="{_colour(leaf)}"><td class="n">{leaf["n"]}</td>'
            f'<td class="time">{self._utc(leaf["ts"])}</td>'
            f'<td class="time">{self._local(leaf["ts"])}</td>'
            f"<td>{self._titled('types', leaf['type'])}</td><td>{self._who(leaf)}</td>"
            f"<td>{self._details(leaf)}</td></tr>\n"
        )

    def _who(self, leaf: Leaf) -> str:
        """The actor; a delegate with whom they stood in for."""
        actor = leaf["actor"]
        if not actor:
            return ""
        who, lender = f"<code>{isolated(actor)}</code>", leaf["data"].get("person")
        if leaf["type"] != "hold.review" or not lender or lender == actor:
            return who
        seat = self._words["stood_in"]
        return str(seat).format(actor=who, person=f"<code>{isolated(lender)}</code>")

    def _details(self, leaf: Leaf) -> str:
        pairs = [
            (self._label(leaf["type"], name), self._value(name, value))
            for name, value in sorted(leaf["data"].items(), key=lambda item: self._rank(item[0]))
            if name not in _LEFT_OUT and value not in (None, [], {})
        ]
        for entry in leaf["pl"]:
            length = self._word("bytes", count=f"{entry['len']:,}")
            pairs.append((self._words["sealed"], f"{isolated(entry['name'])} ({length})"))
        listed = "".join(f"<dt>{escaped(label)}</dt><dd>{value}</dd>" for label, value in pairs)
        return f"<dl>{listed}</dl>" if listed else ""

    def _label(self, kind: str, name: str) -> str:
        """What a fact is called; in some events the same member means another thing."""
        meant = self._words["labels_of"].get(kind, {})
        label: str = meant.get(name) or self._words["labels"].get(name, name)
        return label

    def _rank(self, name: str) -> int:
        """Where a fact stands: in the order of the words, what is not among them at the end."""
        labels = list(self._words["labels"])
        return labels.index(name) if name in labels else len(labels)

    def _value(self, name: str, value: Any) -> str:
        if name == "reasons":
            items = "".join(
                f'<li>{isolated(_cut(reason["msg"]))} <span class="raw">'
                f"{isolated(_cut(reason['code']))} · {isolated(_cut(reason['rule']))}</span></li>"
                for reason in value
            )
            return f'<ul class="words">{items}</ul>'
        if name == "observed":
            return " · ".join(
                isolated(_cut(f"{one['effect']} {one['code']} ({one['rule']}, {one['mode']})"))
                for one in value
            )
        if name == "thresholds":
            return " · ".join(
                f"{self._step(one)}{isolated(_cut(one['reviewers']))} × {one['approve']}"
                f" ({self._terms(one)})"
                for one in sorted(value, key=step_of)
            )
        if name.endswith("_us") and type(value) is int:
            return f"{self._utc(value)} · {self._local(value)}"
        if isinstance(value, str):
            known = value in self._words["said"] and name in {
                *("effect", "decision", "state", "status", "stage")
            }
            return self._titled("said", value) if known else isolated(_cut(value))
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return " · ".join(isolated(_cut(item)) for item in value)
        return f'<span class="raw">{isolated(_cut(_compact(value)))}</span>'

    def _terms(self, threshold: Mapping[str, Any]) -> str:
        """How many denials end it, and who may answer in their place."""
        labels = self._words["labels"]
        denials = f"{labels['deny']}: {threshold['deny']}"
        groups = " · ".join(isolated(_cut(one)) for one in threshold.get("relief", ()))
        return f"{denials}; {labels['relief']}: {groups}" if groups else denials

    def _step(self, threshold: Mapping[str, Any]) -> str:
        """Whoever is asked after others stands behind the number of their step."""
        step = step_of(threshold)
        return f"{step}. " if step > FIRST_STEP else ""

    def _text(self, text: Text) -> str:
        shown = text.content.decode("utf-8", "replace")
        cut = ""
        if len(shown) > TEXT_CHARS_MAX:
            shown = shown[:TEXT_CHARS_MAX]
            cut = f"<p>{self._word('cut', file=text.file)}</p>\n"
        worth = self._word("text_whole" if text.whole else "text_part")
        return (
            f"<h3>{self._word('text_of', name=text.name)} · {text.index} <small>({worth})</small>"
            f'</h3>\n<pre dir="auto">{escaped(shown, lines=True)}</pre>\n{cut}'
        )

    # -- times

    def _utc(self, moment_us: int) -> str:
        moment = _moment(moment_us)
        return (
            str(moment_us) if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}.{_millis(moment)}Z"
        )

    def _local(self, moment_us: int) -> str:
        moment = _moment(moment_us)
        try:
            local = None if moment is None else moment.astimezone(self._case.zone)
        except OverflowError:
            local = None
        return "" if local is None else f"{local:%Y-%m-%d %H:%M:%S} {local:%z}"


def _moment(moment_us: int) -> datetime | None:
    try:
        return _EPOCH + timedelta(microseconds=moment_us)
    except OverflowError:
        return None


def _millis(moment: datetime) -> str:
    return f"{moment.microsecond // 1000:03d}"


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_CHARS_MAX else text[:VALUE_CHARS_MAX] + "…"


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _colour(leaf: Leaf) -> str:
    data = leaf["data"]
    said = data.get("effect") or data.get("decision") or data.get("state")
    kind = leaf["type"]
    if said in {"deny", "denied", "expired", "withdrawn"} or kind == "exchange.refused":
        return "deny"
    if kind == "hold.filed" or said == "hold" or data.get("status") == "held":
        return "hold"
    released = kind == "hold.released" or data.get("status") == "released"
    if said in {"allow", "approve", "approved"} or released:
        return "allow"
    return ""
