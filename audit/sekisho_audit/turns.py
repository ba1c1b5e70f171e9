"""Who has the interpreter when several threads of auditd want it.

A thread that waits takes the interpreter from another after the switch interval, and each turn
costs both of them. So the writer, for whom everybody waits, keeps it while it builds a batch, which
takes some milliseconds, and has it back soon when the disk has answered: threads that read long
texts for searches do not keep those waiting who make a batch durable.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

SOON_S = 0.0005
_KEPT_S = 0.005  # the default of CPython


@contextmanager
def _interval(seconds: float) -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def kept() -> AbstractContextManager[None]:
    """Within, this thread keeps the interpreter longer. For one thread of a process."""
    return _interval(_KEPT_S)


def lent() -> AbstractContextManager[None]:
    """Within, it waits for something, and wants the interpreter back soon after."""
    return _interval(SOON_S)
