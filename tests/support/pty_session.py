"""A command at a terminal of its own: keys go in, and what it draws comes out."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from typing import Self

APPEARS_S = 40.0  # a busy machine; an idle one takes half a second
CLEARS = b"\x1b[H\x1b[2J"


class Session:
    """`sekisho …` in a pseudo-terminal. Use with `with`: whatever happens, it has ended after."""

    def __init__(
        self, *arguments: str, env: Mapping[str, str], columns: int = 100, rows: int = 30
    ) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(theirs)
        kept = {name: value for name, value in os.environ.items() if name not in _OF_OUR_TERMINAL}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sekisho.cli", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**kept, "TERM": "xterm", "NO_PROXY": "*", **env},
            start_new_session=True,
        )
        self._theirs = theirs
        self.drawn = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        os.close(self._ours)
        os.close(self._theirs)

    def press(self, keys: str) -> None:
        """As if typed, or pasted if there are several."""
        os.write(self._ours, keys.encode())

    def type(self, text: str) -> None:
        """One key after the other, as fast as they are taken."""
        for key in text:
            self.press(key)
            time.sleep(0.02)

    def until(self, text: str) -> str:
        """Wait until the screen as it stands now has `text`; the screen."""
        end = time.monotonic() + APPEARS_S
        while time.monotonic() < end:
            if text in self.screen():
                return self.screen()
            self._read(0.1)
        message = f"{text!r} did not appear on:\n{self.screen()}"
        raise AssertionError(message)

    def screen(self) -> str:
        """What was drawn since the screen was cleared last."""
        return self.drawn.rsplit(CLEARS, 1)[-1].decode(errors="replace")

    def ends(self) -> int:
        """Wait for its end; the exit status."""
        end = time.monotonic() + APPEARS_S
        while self.process.poll() is None and time.monotonic() < end:
            self._read(0.1)
        self._read(0.1)
        return self.process.wait(1)

    def modes(self) -> list[object]:
        """How the terminal is set now."""
        return list(termios.tcgetattr(self._theirs))

    def _read(self, timeout_s: float) -> None:
        if select.select([self._ours], [], [], timeout_s)[0]:
            self.drawn += os.read(self._ours, 65_536)


_OF_OUR_TERMINAL = frozenset({"COLUMNS", "LINES", "VISUAL", "EDITOR"})
