"""Everything that can stop the ledger, as one tree.

LedgerError
+-- Refused     this request is not written; `code` says why; the ledger is fine
+-- Away        a database of something derived cannot be used now; the ledger is fine
+-- Poisoned    a write failed or a file changed under us; nothing more is written, ever
+-- Unusable    the ledger cannot be opened as it is; a person must look
+-- Locked      another writer has it
+-- SecondLedger  a checkpoint of ours is known elsewhere that this ledger does not lead to
"""

from __future__ import annotations


class LedgerError(Exception):
    """Root of the tree. Messages are written for the operator who reads them."""


class Refused(LedgerError):
    """What was asked is not written, and asking again unchanged does not help."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Away(LedgerError):
    """A database that keeps something derived cannot be used now; it may be in a while."""


class Poisoned(LedgerError):
    """The writer stopped for good. Whether the last batch is durable is not known."""


class Unusable(LedgerError):
    """The ledger or its keys are not in a state in which writing may go on."""


class Locked(Unusable):
    """Another process holds the lock of this ledger."""


class SecondLedger(Unusable):
    """Our key signed another history: a machine was cloned, or an old copy was restored."""
