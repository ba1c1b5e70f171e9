"""nginx as an operator runs it: Debian's, the location of deploy/nginx, its own timeouts."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from support.installation import ROOT, free_port

LOCATION = ROOT / "deploy" / "nginx" / "sekisho.conf"
STARTS_S = 20.0
_SHIPPED = "http://127.0.0.1:8080/;"


class Nginx:
    """Use as a context manager; `url` is what people would type, with the path prefix.

    `idle_s` is how long it waits for a byte; absent: its own 60 s.
    """

    def __init__(self, folder: Path, idle_s: int | None = None) -> None:
        self._folder = folder
        self._idle = "" if idle_s is None else f"    proxy_read_timeout {idle_s}s;\n"
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}/llm"

    def write(self, port: int) -> None:
        """Lay out its configuration in front of a gateway at `port`."""
        location = LOCATION.read_text()
        if location.count(_SHIPPED) != 1:
            message = f"{LOCATION} does not name {_SHIPPED}"
            raise AssertionError(message)
        location = location.replace(_SHIPPED, f"http://127.0.0.1:{port}/;")
        temporary = "".join(
            f"    {name}_temp_path {self._folder / name};\n"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (self._folder / "nginx.conf").write_text(
            f"daemon off;\nerror_log {self._folder / 'error.log'};\npid {self._folder / 'pid'};\n"
            f"events {{}}\nhttp {{\n    access_log off;\n{temporary}"
            f"    server {{\n    listen 127.0.0.1:{self._port};\n{self._idle}{location}    }}\n}}\n"
        )

    def __enter__(self) -> Self:
        command = shutil.which("nginx") or "/usr/sbin/nginx"
        self._process = subprocess.Popen(
            [command, "-p", str(self._folder), "-c", str(self._folder / "nginx.conf")],
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + STARTS_S
        while time.monotonic() < until:
            try:
                httpx.get(f"http://127.0.0.1:{self._port}/", trust_env=False)
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return self
        log = (self._folder / "error.log").read_text()
        message = f"nginx did not start: {log}"
        raise AssertionError(message)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=20)
