"""A real Valkey, emptied for each test, and one worker's parts."""

from support.hold_fixtures import desk, ledger, server, valkey

__all__ = ["desk", "ledger", "server", "valkey"]
