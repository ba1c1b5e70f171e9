"""`sekisho policy check | test`: the rules, judged by the real OPA, without a running gateway.

The verbs for the life of a revision are in `revisions.py` and `replay.py`.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from sekisho.adapters.policy_check import check_bundle, test_bundle
from sekisho.cli import policy_pack, replay, revisions
from sekisho.cli.printing import add_json, as_json
from sekisho.config import PolicySettings


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `sekisho policy`."""
    verbs = parser.add_subparsers(dest="verb", required=True)
    check = verbs.add_parser("check", help="would this bundle be accepted, and if not, why")
    test = verbs.add_parser("test", help="run the bundle's own tests")
    for verb in (check, test):
        verb.add_argument(
            "bundle",
            nargs="?",
            type=Path,
            default=PolicySettings().bundle,
            help="directory of rules and data (default: the shipped one)",
        )
        add_json(verb)
    revisions.configure(verbs)
    replay.configure(verbs)
    policy_pack.add_verb(verbs)


def run(options: argparse.Namespace) -> int:
    """0 if the bundle is sound, 1 if not."""
    if options.verb in revisions.VERBS:
        return revisions.run(options)
    if options.verb in replay.VERBS:
        return replay.run(options)
    if options.verb == policy_pack.VERB:
        return policy_pack.pack(options)
    return _check(options) if options.verb == "check" else _test(options)


def _check(options: argparse.Namespace) -> int:
    faults = check_bundle(options.bundle)
    if options.json:
        print(as_json([dataclasses.asdict(fault) for fault in faults]))
    else:
        for fault in faults:
            print(fault)
        print(f"{options.bundle}: {_counted(len(faults))}")
    return 1 if faults else 0


def _counted(faults: int) -> str:
    return "sound" if not faults else "1 fault" if faults == 1 else f"{faults} faults"


def _test(options: argparse.Namespace) -> int:
    report = test_bundle(options.bundle)
    print(as_json(dataclasses.asdict(report)) if options.json else report)
    return 0 if report.passed else 1
