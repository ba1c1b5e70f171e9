"""Debian's Chromium, driven by tests/node/browser.mjs, which says what a step and a problem are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
JOB_S = 90.0  # a job that takes longer hangs
_NODE = Path(sys.executable).parent / "node"


def put_in_place() -> None:
    """Install Chromium, its fonts and what drives it; quick if they are there."""
    for script in ("chromium.sh", "node.sh"):
        done = subprocess.run(
            [ROOT / "deploy" / script], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr)


class Chromium:
    """One browser, in which each person has a profile of their own. Use as a context manager."""

    def __enter__(self) -> Self:
        found = shutil.which("chromium")
        assert found is not None
        self._process = subprocess.Popen(
            [_NODE, "tests/node/browser.mjs", found],
            cwd=ROOT,
            env={**os.environ, "NO_PROXY": "*"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def run(self, who: str, *steps: tuple[Any, ...], **options: Any) -> list[Any]:
        """Have `who` take these steps; what each of them said. Fails for any problem on the way.

        `options` are those of a new profile in Playwright, for the first job of a person.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        job = {"id": 0, "who": who, "options": options, "steps": steps}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        watch = threading.Timer(JOB_S, self._process.kill)
        watch.start()
        try:
            line = self._process.stdout.readline()
        finally:
            watch.cancel()
        if not line:
            raise RuntimeError("the browser ended before its job did")
        told = json.loads(line)
        assert told.get("failed") is None, told["failed"]
        assert told["problems"] == []
        return list(told["said"])

    def visit(
        self, who: str, address: str, key: str, *steps: tuple[Any, ...], **options: Any
    ) -> list[Any]:
        """Follow a link, sign in with a key and go on; what the further steps said."""
        arrive = (("goto", address), ("fill", "#key", key), ("press", "Enter"), ("gone", "#key"))
        return self.run(who, *arrive, *steps, **options)[len(arrive) :]
