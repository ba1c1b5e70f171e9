"""`sekisho doctor`: what is wrong, and the command that mends it."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys

from sekisho.adapters.diagnosis import diagnose
from sekisho.adapters.finding import Finding
from sekisho.cli.printing import add_config, add_json, as_json, visible
from sekisho.config import ConfigError, load
from sekisho.web.tls import configured


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `sekisho doctor`."""
    add_config(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """0 when all is well, 1 when something has to be mended."""
    try:
        settings = load(options.config)
        findings = [
            Finding("settings", ok=True, said=str(options.config)),
            *diagnose(settings, options.config, os.environ, configured),
        ]
    except ConfigError as error:
        mend = f"edit {options.config}"
        findings = [Finding("settings", ok=False, said=text, mend=mend) for text in error.faults]
    if options.json:
        print(as_json([dataclasses.asdict(finding) for finding in findings]))
    else:
        _print(findings)
    return 0 if all(finding.ok for finding in findings) else 1


def _print(findings: list[Finding]) -> None:
    width = max(len(finding.part) for finding in findings)
    for finding in findings:
        word = "wrong" if not finding.ok else "warn" if finding.mend else "ok"
        print(f"{word:<5}  {finding.part:<{width}}  {visible(finding.said)}")
        if finding.mend:
            print(f"       {'':<{width}}  mend: {finding.mend}")
    wrong = sum(not finding.ok for finding in findings)
    if wrong:
        print(f"{wrong} of {len(findings)} checks found something to mend.", file=sys.stderr)
