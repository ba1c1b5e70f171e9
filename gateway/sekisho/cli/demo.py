"""`sekisho demo`: the whole product on one machine, with a real model."""

from __future__ import annotations

import argparse
from pathlib import Path

from sekisho import demo, telemetry
from sekisho.config import PolicySettings


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `sekisho demo`."""
    parser.add_argument(
        "--folder", type=Path, default=Path(".demo"), help="where data and keys are kept"
    )
    parser.add_argument(
        "--bundle", type=Path, default=PolicySettings().bundle, help="the rules to use"
    )
    parser.add_argument("--port", type=int, help="where the gateway listens (default: 8080)")


def run(options: argparse.Namespace) -> int:
    """Until Ctrl-C."""
    telemetry.configure("warning", "console")
    return demo.run(options.folder, options.bundle, options.port)
