"""`sekisho policy check | test | eval`: the rules and the real OPA, without a running gateway.

The verbs for the life of a revision are in `revisions.py` and `replay.py`.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

from sekisho.adapters.policy_check import review_bundle, test_bundle
from sekisho.cli import policy_eval, policy_pack, policy_source, replay, revisions
from sekisho.cli.printing import add_json, amount, as_json, visible
from sekisho.config import PolicySettings


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `sekisho policy`."""
    verbs = parser.add_subparsers(dest="verb", required=True)
    check = verbs.add_parser("check", help="would this bundle be accepted, and if not, why")
    policy_source.add_trust(check)
    test = verbs.add_parser("test", help="run the bundle's own tests")
    test.add_argument(
        "--coverage-min",
        type=amount,
        default=0.0,
        metavar="PERCENT",
        help="fail if the tests reach less of the lines (default: 0)",
    )
    asked = verbs.add_parser("eval", help="decide about one recorded input, and say why")
    policy_eval.configure(asked)
    for verb in (check, test, asked):
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
    verbs = {
        "check": _check,
        "test": _test,
        "eval": policy_eval.run,
        policy_pack.VERB: policy_pack.pack,
    }
    return verbs[options.verb](options)


def _check(options: argparse.Namespace) -> int:
    with policy_source.directory_of(options.bundle, options, PolicySettings()) as directory:
        faults = review_bundle(directory)
    if options.json:
        print(as_json([dataclasses.asdict(fault) for fault in faults]))
    else:
        for fault in faults:
            print(visible(str(fault)))
        print(f"{options.bundle}: {_counted(len(faults))}")
    return 1 if faults else 0


def _counted(faults: int) -> str:
    return "sound" if not faults else "1 fault" if faults == 1 else f"{faults} faults"


def _test(options: argparse.Namespace) -> int:
    report = test_bundle(options.bundle)
    print(as_json(dataclasses.asdict(report)) if options.json else visible(str(report)))
    enough = report.coverage_percent >= options.coverage_min
    if report.passed and not enough:
        print(
            f"sekisho: the tests reach {report.coverage_percent:.1f} % of lines, "
            f"less than {options.coverage_min:g} %",
            file=sys.stderr,
        )
    return 0 if report.passed and enough else 1
