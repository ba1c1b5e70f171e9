"""Work that may never end, waited for no longer than a limit.

An evaluation of rules cannot be cancelled. Commands do it in a thread that dies with the process,
so a rule without an end is a fault with a name and not a command without an end.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def bounded(work: Callable[[], _T], limit_s: float) -> _T:
    """The outcome of `work`, its value or its exception. Raises TimeoutError after `limit_s`."""
    done: queue.SimpleQueue[tuple[_T] | BaseException] = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put((work(),))
        except BaseException as error:  # noqa: BLE001 - crosses the thread and is raised there
            done.put(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        outcome = done.get(timeout=limit_s)
    except queue.Empty:
        message = f"not done after {limit_s} s"
        raise TimeoutError(message) from None
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome[0]
