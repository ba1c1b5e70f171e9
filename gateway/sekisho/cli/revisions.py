"""`sekisho policy draft | list | show | activate | rollback | shadow`: the life of a revision.

Each is done by a person, who shows their key: the author of a revision never puts it in force.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sekisho.adapters.policy_desk import PolicyDesk
from sekisho.cli import policy_source
from sekisho.cli.gate import add_key
from sekisho.cli.person import person_of
from sekisho.cli.printing import add_config, add_json, as_json, table, visible, when
from sekisho.cli.stock import desk_of
from sekisho.config import load
from sekisho.model.principal import Principal
from sekisho.model.revisions import Activation, Known, Report

VERBS = ("draft", "list", "show", "activate", "rollback", "shadow")
_SHORT = len("sha256:") + 12  # enough of a digest for people
_NOT_SEEN = (
    ("left_out", "older LEFT OUT"),
    ("unread", "not readable"),
    ("unlike", "NOT as recorded"),
)
_COLUMNS = ("revision", "state", "source", "authors", "drafted", "activator")


def configure(verbs: Any) -> None:
    """The options of these verbs."""
    draft = verbs.add_parser("draft", help="put rules in, for somebody else to put in force")
    draft.add_argument(
        "source", type=Path, metavar="DIR", help="directory of rules, or a signed bundle (.tar.gz)"
    )
    policy_source.add_trust(draft)
    draft.add_argument(
        "--commit", metavar="REV", help="take DIR from a signed commit: its signer is an author too"
    )
    draft.add_argument(
        "--repo", type=Path, default=Path(), metavar="DIR", help="where the commit is (default: .)"
    )
    listed = verbs.add_parser("list", help="revisions, the newest first")
    show = verbs.add_parser("show", help="one revision: authors, reports, files")
    activate = verbs.add_parser("activate", help="put a colleague's revision in force")
    rollback = verbs.add_parser("rollback", help="go back to the revision before")
    for verb in (show, activate):
        verb.add_argument("revision", metavar="REVISION", help="its digest, or the first digits")
    shadow = verbs.add_parser("shadow", help="let a revision decide beside the one in force")
    which = shadow.add_mutually_exclusive_group(required=True)
    which.add_argument("revision", metavar="REVISION", nargs="?")
    which.add_argument("--off", action="store_true", help="no longer")
    for verb in (draft, listed, show, activate, rollback, shadow):
        add_config(verb)
        add_key(verb)
        add_json(verb)


def run(options: argparse.Namespace) -> int:
    """Carry the verb out and print what came of it."""
    settings = load(options.config)
    desk, who = desk_of(settings), person_of(options, settings)
    match options.verb:
        case "draft":
            row = policy_source.draft(desk, who, options, settings.policy)
            _print(options, {"revision": row.revision}, f"{row.revision} is put in.")
        case "list":
            rows = [_row(known) for known in desk.listed(who)]
            text = table([{**row, "revision": row["revision"][:_SHORT]} for row in rows], _COLUMNS)
            _print(options, rows, text if rows else "No revision was put in yet.")
        case "show":
            _show(options, desk, who)
        case "activate":
            _print_activated(options, desk, who)
        case "rollback":
            _print_done(options, desk.rollback(who))
        case "shadow":
            which = desk.shadow(who, options.revision)
            said = f"{which[:_SHORT]} is in the shadow{' no longer' if options.off else ''}."
            _print(options, {"revision": which, "ended": options.off}, said)
    return 0


def _print(options: argparse.Namespace, said: Any, text: str) -> None:
    print(as_json(said) if options.json else text)


def _print_done(options: argparse.Namespace, done: Activation) -> None:
    said = {"revision": done.revision, "previous": done.previous, "rollback": done.rollback}
    instead = f", in place of {done.previous[:_SHORT]}" if done.previous else ""
    _print(options, said, f"{done.revision[:_SHORT]} is in force{instead}.")


def _print_activated(options: argparse.Namespace, desk: PolicyDesk, who: Principal) -> None:
    """With the reports that it rests on: an author could have made the last over little."""
    done = desk.activate(who, options.revision)
    _print_done(options, done)
    if not options.json:
        reports = map(_report, desk.known(who, done.revision).reports)
        print("\n".join(_line(one) for one in reports if one["against"] == done.previous))


def _row(known: Known) -> dict[str, Any]:
    revision, last = known.revision, known.activations[-1:]
    return {
        "revision": revision.revision,
        "state": known.state,
        "source": revision.source,
        "authors": list(revision.authors),
        "drafted": when(revision.drafted_us),
        "activator": last[0].activator if last else None,
        "activated": when(last[0].at_us) if last else None,
    }


def _show(options: argparse.Namespace, desk: PolicyDesk, who: Principal) -> None:
    known = desk.known(who, options.revision)
    _, bundle = desk.bundle(known.revision.revision)
    said = {
        **_row(known),
        "contents": known.revision.contents,
        "reports": [_report(one) for one in known.reports],
        "files": {name: len(body) for name, body in sorted(bundle.files.items())},
    }
    lines = [f"{name:<10} {_told(said[name])}" for name in _COLUMNS]
    lines += [_line(one) for one in said["reports"]]
    lines += [f"{size:>10} {visible(name)}" for name, size in said["files"].items()]
    _print(options, said, "\n".join(lines))


def _told(value: Any) -> str:
    text = ", ".join(value) if isinstance(value, list) else str(value or "-")
    return visible(text)


def _report(made: Report) -> dict[str, Any]:
    return {"against": made.against, "made": when(made.made_us), **made.summary}


def _line(report: dict[str, Any]) -> str:
    """What it compared, how much of it and what it did not look at, and when it was made."""
    changed = report["changed"]
    missing = [f"{report[name]} {told}" for name, told in _NOT_SEEN if report.get(name)]
    since = f" since {when(report['since_us'])}" if report["since_us"] else ""
    counts = (
        f"{report['decisions']} decisions{since}",
        f"newly denied {changed['denied']}",
        f"held {changed['held']}",
        f"freed {changed['freed']}",
        *missing,
    )
    against = report["against"][:_SHORT]
    return f"{'report':<10} against {against} ({report['made']}): {', '.join(counts)}"
