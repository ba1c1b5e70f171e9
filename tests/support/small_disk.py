"""A file system of its own in memory, small enough to be full: a tmpfs that only a holder sees.

    with small_disk(folder, "size=1m") as disk:
        disk.path              # usable by every process, through the holder's root
        disk.remount("ro")

The tmpfs is mounted in a mount namespace of a process that sleeps, so nothing is left behind,
whatever happens to the test. Who is not root does it in a user namespace.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_HELD_S = 600
NEEDS = (
    "this test mounts a tmpfs in a namespace of its own and may not: run it as root, "
    "or allow user namespaces (sysctl user.max_user_namespaces)"
)


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """The mounted file system."""

    path: Path
    _folder: Path
    _holder: int

    def remount(self, options: str) -> None:
        """Change its options: `ro`, `rw`, `size=8m`."""
        users = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        enter = ["nsenter", "--target", str(self._holder), "--mount", *users]
        # With type and source: what mount(8) would add by itself a user namespace does not take.
        mount = ["mount", "-t", "tmpfs", "-o", f"remount,{options}", "tmpfs", str(self._folder)]
        subprocess.run([*enter, *mount], check=True)


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[SmallDisk]:
    """A tmpfs with these options of mount(8), until the block is left."""
    folder.mkdir()
    how = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "-r"]
    script = 'mount -t tmpfs -o "$1" tmpfs "$2" && echo mounted && exec sleep "$3"'
    with subprocess.Popen(
        [*how, "sh", "-c", script, "sh", options, str(folder), str(_HELD_S)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as holder:
        try:
            if holder.stdout is None or holder.stdout.readline() != b"mounted\n":
                _, problem = holder.communicate()
                raise RuntimeError(f"{NEEDS}: {problem.decode()}")
            seen = Path(f"/proc/{holder.pid}/root{folder}")
            yield SmallDisk(seen, folder, holder.pid)
        finally:
            holder.kill()
