"""A disk that hangs: every fdatasync of a running process waits until the block is left.

    with hanging_disk(auditd.process.pid): ...

strace holds the calls back before the kernel sees them; when it lets go they are made as asked.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.strikes import NEEDS

_ATTACHED_S = 20.0
_AT_MOST = "delay_enter=3600s"


@contextmanager
def hanging_disk(pid: int) -> Iterator[None]:
    """From now on a sync does not come back; after the block it does."""
    status = Path(f"/proc/{pid}/status")
    command = ["strace", "-f", "-q", "-o", "/dev/null", "-p", str(pid), "-e", "trace=fdatasync"]
    with subprocess.Popen([*command, "-e", f"inject=fdatasync:{_AT_MOST}"]) as tracer:
        try:
            until_s = time.monotonic() + _ATTACHED_S
            while b"TracerPid:\t0\n" in status.read_bytes():
                if tracer.poll() is not None or time.monotonic() > until_s:
                    raise RuntimeError(NEEDS)
                time.sleep(0.005)
            yield
        finally:
            tracer.terminate()
