"""`sekisho policy diff | explain`: what other rules would decide, and why a decision was made.

Both read inputs that are sealed, so an officer with the duty `disclose` asks for them, says what
for, and the reading is on record. `diff --inputs FILE` needs no ledger: for pull requests.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sekisho.adapters.bundle import Bundle, read_bundle
from sekisho.adapters.policy_desk import PolicyDesk
from sekisho.adapters.policy_replay import Explained, compare, explain
from sekisho.adapters.recorded_decisions import decisions, from_file, new_file, save, with_inputs
from sekisho.cli import explaining
from sekisho.cli.gate import add_key
from sekisho.cli.person import person_of
from sekisho.cli.printing import add_config, add_json, as_json, table, visible, when
from sekisho.cli.stock import desk_of
from sekisho.config import Settings, load
from sekisho.errors import BadRequest, NotFound, SekishoError
from sekisho.model.replays import CHANGES, Recorded
from sekisho.model.revisions import Report
from sekisho_audit.commands.named_file import named_file
from sekisho_audit.commands.presenting import presented
from sekisho_audit.officer_client import SECRET_VARIABLE, OfficerError

VERBS = ("diff", "explain")
_SHORT = len("sha256:") + 12  # enough of a digest for people
LIMIT = 10_000  # decisions; some 20 s
_SPANS = {"h": 3_600, "d": 86_400, "w": 7 * 86_400}


def configure(verbs: Any) -> None:
    """The options of these verbs."""
    diff = verbs.add_parser("diff", help="what would recorded decisions be under another revision")
    diff.add_argument("--against", required=True, metavar="REVISION|DIR", help="the other rules")
    diff.add_argument(
        "--base", metavar="REVISION|DIR", help="compared with (default: what is in force)"
    )
    diff.add_argument("--since", type=span_s, default=7 * 86_400, metavar="7d", help="h, d or w")
    diff.add_argument("--limit", type=int, default=LIMIT, metavar="N", help="the newest N only")
    diff.add_argument("--inputs", type=Path, metavar="FILE", help="disclosed before, in place of")
    diff.add_argument(
        "--save", type=named_file, metavar="FILE", help="keep the inputs for --inputs"
    )
    diff.add_argument("--record", action="store_true", help="keep the report for the activator")
    diff.add_argument(
        "--exit-code", action="store_true", help="exit 1 if anything would be decided otherwise"
    )
    shown = verbs.add_parser("explain", help="which rules made a recorded decision, and why")
    shown.add_argument("exchange", metavar="EXCHANGE")
    for verb in (diff, shown):
        verb.add_argument("--officer", metavar="NAME", help="who reads the sealed inputs")
        verb.add_argument("--secret-file", type=Path, help=f"without it ${SECRET_VARIABLE}")
        verb.add_argument("--second", metavar="NAME", help="another officer, who agrees")
        verb.add_argument("--second-secret-file", type=Path, help="their secret")
        verb.add_argument("--purpose", help="what for; recorded, sealed")
        verb.add_argument("--ticket", help="by whose order, e.g. a case number")
        add_config(verb)
        add_key(verb)
        add_json(verb)


def span_s(text: str) -> int:
    """Seconds of `36h`, `7d` or `2w`."""
    number, unit = text[:-1], text[-1:]
    if not number.isdigit() or len(number) > 5 or unit not in _SPANS:  # noqa: PLR2004 - digits
        raise argparse.ArgumentTypeError("a span looks like 36h, 7d or 2w")
    return int(number) * _SPANS[unit]


def run(options: argparse.Namespace) -> int:
    """Carry the verb out; 1 if something changes and that was asked for."""
    return _diff(options) if options.verb == "diff" else _explain(options)


class OfficerNeeded(SekishoError):
    """Sealed inputs cannot be read: no officer, or auditd refused them."""

    code = "officer_needed"


# -- diff


def _diff(options: argparse.Namespace) -> int:
    if options.limit < 1:
        raise BadRequest("--limit must be 1 or more.")
    # Inputs from a file are as old as they are.
    since_us = 0 if options.inputs else (int(time.time()) - options.since) * 1_000_000
    if _is_offline(options):
        before, after = Path(options.base), Path(options.against)
        found = recorded = from_file(options.inputs)
    else:
        settings = load(options.config)
        desk = desk_of(settings)
        before, after = _place(desk, options.base), _place(desk, options.against)
        kept = None if options.save is None else new_file(options.save)
        found, recorded = _asked_for(options, settings, since_us)
        if kept is not None:
            save(kept, recorded)
    left_out = len(found) - len(recorded)
    base, other, report = asyncio.run(
        compare(recorded, before, after, since_us=since_us, left_out=left_out)
    )
    if options.record:
        _record(options, base, other, report)
    said = {"base": base, "revision": other, **report}
    print(as_json(said) if options.json else _text(said))
    return 1 if options.exit_code and any(report["changed"].values()) else 0


def _asked_for(
    options: argparse.Namespace, settings: Settings, since_us: int
) -> tuple[list[Recorded], list[Recorded]]:
    """All decisions that were found, and the newest of them with their inputs."""
    if options.inputs is not None:
        found = from_file(options.inputs)
        return found, found[-options.limit :]
    found = decisions(settings.ledger_dir, since_us=since_us)
    newest = found[-options.limit :]
    return found, _opened(options, settings, newest) if newest else []


def _is_offline(options: argparse.Namespace) -> bool:
    """Whether nothing of an installation is needed, as in a pull request."""
    places = (options.base, options.against)
    named = all(place is not None and Path(place).is_dir() for place in places)
    return named and options.inputs is not None and not options.record


def _place(desk: PolicyDesk, named: str | None) -> Path:
    """Where the rules are: a directory that was named, a kept revision, or what is in force."""
    if named is not None and Path(named).is_dir():
        return Path(named)
    return desk.place_of(named)


def _record(options: argparse.Namespace, base: str, other: str, report: dict[str, Any]) -> None:
    settings = load(options.config)
    desk, who = desk_of(settings), person_of(options, settings)
    row, _ = desk.bundle(other)
    if options.inputs is not None or desk.active().revision != base:
        raise BadRequest(
            "Only a report on the ledger's own decisions, compared with the revision in force, "
            "goes on record: leave out --inputs and --base."
        )
    desk.record_replay(who, other, Report(other, base, row.contents, "", 0, report))


def _opened(
    options: argparse.Namespace, settings: Settings, recorded: Sequence[Recorded]
) -> list[Recorded]:
    """With the inputs that an officer may read. Raises OfficerNeeded."""
    missing = [f"--{n}" for n in ("officer", "purpose", "ticket") if not getattr(options, n)]
    if missing:
        raise OfficerNeeded(
            f"What policy saw is sealed: an officer with the duty disclose reads it. Give "
            f"{', '.join(missing)} (docs/howto/policy.md)."
        )
    options.directory, options.socket = settings.data_dir, None
    try:
        with presented(options) as client:
            return with_inputs(client, recorded, purpose=options.purpose, ticket=options.ticket)
    except OfficerError as error:
        raise OfficerNeeded(f"The inputs were not opened: {error}.") from error


def _text(said: dict[str, Any]) -> str:
    changed = said["changed"]
    base, other = said["base"][:_SHORT], said["revision"][:_SHORT]
    since = f"since {when(said['since_us'])}" if said["since_us"] else "from a file"
    counts = ", ".join(f"{name} {changed[name]}" for name in CHANGES[:-1])
    lines = [
        f"{said['decisions']} decisions {since}, {base} -> {other}",
        f"newly {counts}; same effect with other reasons or obligations {changed['other']}",
    ]
    if said["base"] == said["revision"]:
        lines.append("both are the SAME rules and data, so nothing can change")
    for name, told in (
        ("unread", "inputs that nobody can open any more"),
        ("left_out", "older ones left out (--limit)"),
        ("unlike", "did NOT come out again as recorded under their own revision"),
    ):
        if said[name]:
            lines.append(f"{said[name]} {told}")
    for title in ("stage", "group", "rule"):
        part = said[f"{title}s"]
        rows = [{title: name, **counts} for name, counts in part.items()]
        lines += [table(rows, (title, *CHANGES))] if rows else []
    for name in CHANGES:
        for one in said["examples"][name]:
            why = ", ".join((*one["codes"], *(f"{stage} held" for stage in one["later"])))
            change = f"{one['stage']} {one['from']} -> {one['to']} {why}"
            lines.append(visible(f"{name}: {one['exchange']} {change}"))
    return "\n".join(lines)


# -- explain


def _explain(options: argparse.Namespace) -> int:
    settings = load(options.config)
    desk = desk_of(settings)
    found = decisions(settings.ledger_dir, exchange=options.exchange)
    if not found:
        raise NotFound("Policy decided nothing about such an exchange in this ledger.")
    told = []
    for one in _opened(options, settings, found):
        if one.document is None:
            raise NotFound("What policy saw cannot be opened any more: erased, or not kept longer.")
        told.append(explain(one, _bundle_of(desk, settings, one.revision)))
    print(as_json([_said(one) for one in told]) if options.json else "\n".join(map(_why, told)))
    return 0 if all(one.same for one in told) else 1


def _bundle_of(desk: PolicyDesk, settings: Settings, revision: str) -> Bundle:
    """The revision that decided: put in, or the one of the settings, as it was or as it is."""
    try:
        return desk.bundle(revision)[1]
    except NotFound:
        for known in (desk.active, lambda: read_bundle(settings.policy.bundle)):
            bundle = known()
            if bundle.revision == revision:
                return bundle
        raise NotFound(
            f"{revision} made this decision and is not kept here. Put its files in with "
            "`sekisho policy draft`: the revision will be the same."
        ) from None


def _said(one: Explained) -> dict[str, Any]:
    return {
        "exchange": one.recorded.exchange,
        "index": one.recorded.index,
        "same": one.same,
        **one.said,
        "explanation": one.explanation and dataclasses.asdict(one.explanation),
    }


def _why(one: Explained) -> str:
    at, stage, effect = when(one.recorded.ts_us), one.said["stage"], one.said["effect"]
    lines = [f"{at}  {stage}: {effect}  by {one.said['revision'][:_SHORT]}"]
    lines += [f"  because {r['code']} ({r['rule']}): {r['msg']}" for r in one.said["reasons"]]
    if one.explanation is None:
        lines.append("  takes too long to be explained")
    else:
        lines += [f"  {line}" for line in explaining.lines(one.explanation)]
    if not one.same:
        lines.append("  this is NOT what stands in the ledger: run `sekisho-audit verify`")
    return visible("\n".join(lines))
