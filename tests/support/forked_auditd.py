"""auditd, again and again, without the time that Python needs to load it.

`python -m support.forked_auditd ARGUMENTS`, in tests, loads auditd once. For each line of its input
it forks a child that runs the real `main` with these arguments, and writes `started <pid>`; when
that child has ended it writes `ended <status>` (as `os.waitpid` has it). What children write goes
the same way, so `ready` stands between the two if it came that far.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sekisho_audit import auditd

_TESTS = Path(__file__).resolve().parents[1]
LINE_S = 30.0


class ForkedAuditd:
    """One such process, and the auditd that it runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("no pipe")
        self._process = process
        self._in = process.stdin
        self._out = process.stdout
        self._pid = 0

    @classmethod
    @asynccontextmanager
    async def loaded(cls, *arguments: str) -> AsyncIterator[ForkedAuditd]:
        """Ready to start auditd with these arguments."""
        command = [sys.executable, "-m", "support.forked_auditd", *arguments]
        process = await asyncio.create_subprocess_exec(
            *command, cwd=_TESTS, stdin=PIPE, stdout=PIPE
        )
        running = cls(process)
        try:
            yield running
        finally:
            running._in.close()
            await asyncio.wait_for(process.wait(), LINE_S)

    async def start(self) -> None:
        """Start auditd; it is not ready yet."""
        self._in.write(b"start\n")
        what, number = (await self._line()).split()
        if what != "started":
            raise RuntimeError(f"a child before this one goes on: {what} {number}")
        self._pid = int(number)

    async def ready(self) -> None:
        """Wait until it accepts."""
        line = await self._line()
        if line != "ready":
            raise RuntimeError(f"auditd did not start: {line}")

    async def end(self, number: signal.Signals) -> int:
        """End it by a signal; its status."""
        os.kill(self._pid, number)
        line = await self._line()
        if line == "ready":
            line = await self._line()
        return int(line.removeprefix("ended "))

    async def _line(self) -> str:
        line = await asyncio.wait_for(self._out.readline(), LINE_S)
        return line.decode().rstrip("\n")


def _child(arguments: list[str]) -> None:
    status = 1
    try:
        status = auditd.main(arguments)
    finally:
        sys.stdout.flush()
        os._exit(status)


def _say(line: str) -> None:
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


def main(arguments: list[str]) -> None:
    """Serve until the input ends."""
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            _child(arguments)
        _say(f"started {child}")
        _, status = os.waitpid(child, 0)
        _say(f"ended {status}")


if __name__ == "__main__":
    main(sys.argv[1:])
