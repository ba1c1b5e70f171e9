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

import errno

_WORDS = {
    errno.ENOENT: "{} is not there: see that it is written right",
    errno.EACCES: "{} may not be opened by this account: use the one that owns it",
    errno.EPERM: "{} may not be opened by this account: use the one that owns it",
    errno.EISDIR: "{} is a folder: name the file",
    errno.ENOTDIR: "{}: what should be a folder is a file",
    errno.EEXIST: "{} is there already: name another file",
    errno.ENOSPC: "{}: there is no room left on the disk",
}
_NOBODY = "nobody answers there: see that host and port are right"


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


def in_words(error: OSError) -> str:
    """What the system refused, for people: without its number, with what to do."""
    if error.errno == errno.ECONNREFUSED:
        return _NOBODY
    if error.filename is None or error.errno is None:
        return error.strerror or str(error) or type(error).__name__
    return _WORDS.get(error.errno, f"{{}}: {error.strerror}").format(error.filename)
