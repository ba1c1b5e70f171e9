"""The shipped bundle is read, compiled and tried once a process, where other things are tested.

It takes a third of a second of a core, and dozens of tests start an engine. Other bundles are
treated as ever.
"""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from sekisho.adapters import opa_server
from sekisho.adapters.bundle import Bundle, read_bundle
from sekisho.adapters.policy_check import try_bundle
from support.rules import SHIPPED


def read_once(patch: pytest.MonkeyPatch) -> None:
    """Engines of `opa_server` made from now on share the shipped bundle."""
    patch.setattr(opa_server, "read_bundle", _read)
    patch.setattr(opa_server, "try_bundle", tried)


def tried(bundle: Bundle) -> None:
    """As `try_bundle`."""
    if bundle is not _shipped():
        try_bundle(bundle)


def _read(directory: Path) -> Bundle:
    return _shipped() if directory == SHIPPED else read_bundle(directory)


@functools.cache
def _shipped() -> Bundle:
    made = read_bundle(SHIPPED)
    try_bundle(made)
    return made
