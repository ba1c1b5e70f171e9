"""Real OpenID Connect servers for tests, each a process on loopback.

`NodeIssuer` is npm's oidc-provider, certified by the OpenID Foundation; its packages are put in
place by `deploy/node.sh`. `MockIssuer` is PyPI's oidc-provider-mock, which is Authlib's server.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
START_S = 20.0


class NodeIssuer:
    """Use as a context manager. `rotate` gives it new keys and takes the old ones away."""

    def __init__(self, redirect_uri: str, audience: str, secret: str) -> None:
        self._arguments = (redirect_uri, audience, secret)
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        done = subprocess.run(
            [str(ROOT / "deploy" / "node.sh")], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        self._process = subprocess.Popen(
            [str(BIN / "node"), "issuer.mjs", *self._arguments],
            cwd=ROOT / "tests" / "node",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.url = self._line()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            _end(self._process)

    def rotate(self) -> None:
        """New keys under new ids, and only these."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
            self._line()

    def _line(self) -> str:
        if self._process is None or self._process.stdout is None:
            raise RuntimeError("the issuer was not started")
        return str(json.loads(self._process.stdout.readline())["url"])


class MockIssuer:
    """Use as a context manager. Any client and any subject will do."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        claims = json.dumps({"sub": "7f3a", "name": "staff-7", "groups": ["finance"]})
        self._process = subprocess.Popen(
            [str(BIN / "oidc-provider-mock"), "-p", str(self._port), "--user-claims", claims],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it; what it signed stays good."""
        if self._process is not None:
            _end(self._process)
            self._process = None

    def _wait(self) -> None:
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            try:
                httpx.get(f"{self.url}/jwks", trust_env=False).raise_for_status()
            except httpx.HTTPError:
                time.sleep(0.05)
            else:
                return
        raise TimeoutError("the issuer did not start")


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
