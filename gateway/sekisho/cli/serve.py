"""`sekisho serve`: run the installation in the foreground."""

from __future__ import annotations

import argparse

from sekisho import telemetry
from sekisho.cli.printing import add_config
from sekisho.config import load
from sekisho.supervisor import serve


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `sekisho serve`."""
    add_config(parser)


def run(options: argparse.Namespace) -> int:
    """Until SIGTERM or Ctrl-C."""
    settings = load(options.config)
    telemetry.configure(settings.log.level, settings.log.format)
    return serve(settings, options.config)
