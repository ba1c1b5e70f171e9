"""One person at one terminal: keys as they are pressed, a screen drawn whole each time.

No library draws here: what any terminal over ssh understands is enough. Text is drawn as it is
given, so whoever calls makes hidden characters visible first. The terminal is left as it was found,
whatever happens. What was typed before something was shown is thrown away: it was no answer to it.
"""

from __future__ import annotations

import codecs
import os
import select
import shutil
import signal
import sys
import termios
import tty
import unicodedata
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any, Self

READ_BYTES = 4096
ENTER, BACKSPACE, ESCAPE = "enter", "backspace", "escape"
UP, DOWN, PASTED, NOTHING = "up", "down", "pasted", ""
END = "end"
_NAMED = {
    "\r": ENTER,
    "\n": ENTER,
    "\x7f": BACKSPACE,
    "\x08": BACKSPACE,
    "\x1b": ESCAPE,
    "\x1b[A": UP,
    "\x1bOA": UP,
    "\x1b[B": DOWN,
    "\x1bOB": DOWN,
}
_ENTER_SCREEN, _LEAVE_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_CLEAR = "\x1b[H\x1b[2J"


class Terminal:
    """Use with `with`. `hints` is a descriptor that becomes readable when it is time to look."""

    def __init__(self, hints: int = -1) -> None:
        self._in = sys.stdin.fileno()
        self._out = sys.stdout.fileno()
        self._hints = hints
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._before: list[Any] = []
        self._handled: Any = signal.SIG_DFL
        self._interrupted = False

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._in)
        self._handled = signal.signal(signal.SIGINT, self._interrupt)
        tty.setcbreak(self._in)  # Ctrl-C still interrupts
        self._write(_ENTER_SCREEN)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._write(_LEAVE_SCREEN)
        termios.tcsetattr(self._in, termios.TCSAFLUSH, self._before)
        signal.signal(signal.SIGINT, self._handled)

    def leave(self) -> None:
        """Hand the terminal to another program for a while."""
        self.__exit__(None, None, None)

    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now."""
        found = shutil.get_terminal_size()
        return max(20, found.columns), max(6, found.lines)

    def draw(self, lines: Sequence[str]) -> None:
        """These lines, from the top, and nothing else."""
        columns, rows = self.size()
        shown = [clipped(line, columns) for line in lines[:rows]]
        self._write(_CLEAR + "\r\n".join(shown))

    def forget_typed(self) -> None:
        """Throw away what was typed so far: it was meant for what stood there before."""
        termios.tcflush(self._in, termios.TCIFLUSH)
        self._decoder.reset()

    def key(self, timeout_s: float) -> str:
        """A character or the name of a key; NOTHING at a hint or after the time; PASTED for several
        at once, which are no key that somebody pressed; END when the terminal is gone.
        """
        text = self.text(timeout_s)
        if text in {NOTHING, END} or len(text) == 1:
            return _NAMED.get(text, text)
        return _NAMED.get(text, PASTED)

    def text(self, timeout_s: float) -> str:
        """As `key`, with all that came. Raises KeyboardInterrupt, also for one that was lost."""
        if self._interrupted:
            raise KeyboardInterrupt
        watched = [self._in] if self._hints < 0 else [self._in, self._hints]
        ready, _, _ = select.select(watched, [], [], timeout_s)
        if self._hints in ready:
            os.read(self._hints, READ_BYTES)
        if self._in not in ready:
            return NOTHING
        came = os.read(self._in, READ_BYTES)
        return self._decoder.decode(came) if came else END

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        """Python drops what is raised while it finalizes an object, so it is noted as well."""
        self._interrupted = True
        raise KeyboardInterrupt

    def _write(self, text: str) -> None:
        left = text.encode("utf-8", "replace")
        while left:
            left = left[os.write(self._out, left) :]


def width(char: str) -> int:
    """How many columns a visible character takes."""
    if unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def wrapped(text: str, columns: int) -> list[str]:
    """The lines of `text`, none wider than `columns`; every character is in one of them."""
    found = []
    for line in text.split("\n"):
        part, used = "", 0
        for char in line:
            wide = width(char)
            if used + wide > columns:
                found.append(part)
                part, used = "", 0
            part, used = part + char, used + wide
        found.append(part)
    return found


def clipped(line: str, columns: int) -> str:
    """As much of a line as fits."""
    return wrapped(line, columns)[0]
