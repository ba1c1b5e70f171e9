"""Hears from the gateway that the queue changed, and says so through a pipe.

Hints only: whoever gets one reads the queue again. A gateway that cannot be heard costs moments,
because the queue is read every few seconds in any case.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Self

from sekisho.cli.gate import Gate, GateFailed

AGAIN_S = 3.0


class LiveHints:
    """Use with `with`; `descriptor` becomes readable at a hint."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._over = threading.Event()
        self._lock = threading.Lock()
        self.descriptor, self._say = os.pipe()

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """The listener ends with its next frame, or with the process: it waits for the network."""
        with self._lock:
            self._over.set()
            os.close(self._say)
            os.close(self.descriptor)

    def _listen(self) -> None:
        last_id = ""
        while not self._over.is_set():
            with contextlib.suppress(GateFailed):
                for line in self._gate.lines("/v1/approvals/events", last_id):
                    if line.startswith("id: "):
                        last_id = line.removeprefix("id: ")
                    if line == "event: current":
                        self._hint()
                    if self._over.is_set():
                        return
            self._over.wait(AGAIN_S)

    def _hint(self) -> None:
        with self._lock:
            if not self._over.is_set():
                os.write(self._say, b".")
