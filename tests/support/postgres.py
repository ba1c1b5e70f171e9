"""A real PostgreSQL for tests: on loopback, with a password, killable, pausable and restartable."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sekisho_audit.errors import Away
from sekisho_audit.index_postgres import PostgresDatabase
from support.installation import free_port

START_S = 30.0
_SETTINGS = {
    "fsync": "off",
    "listen_addresses": "127.0.0.1",
    "max_connections": "20",
    "shared_buffers": "16MB",
}


def _program(name: str) -> str:
    """Debian keeps the server's programs beside the path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    path = str(found[-1]) if found else shutil.which(name)
    if path is None:
        message = "PostgreSQL is missing: apt-get install postgresql (deploy/postgres.sh)"
        raise FileNotFoundError(message)
    return path


class Postgres:
    """One server process and its data directory."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self.data = self.folder / "data"
        self.port = free_port()
        self.password = secrets.token_hex(16)
        # PostgreSQL does not run as root.
        self._user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        secret = self.folder / "password"
        secret.write_text(self.password)
        if self._user is not None:
            for path in (self.folder, secret):
                os.chown(path, self._user, -1)
        options = ["--username=sekisho", "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale"]
        self._run("initdb", f"--pgdata={self.data}", f"--pwfile={secret}", "--no-sync", *options)

    @property
    def url(self) -> str:
        """Of the database that the tests use."""
        return self.url_at(self.port)

    def url_at(self, port: int) -> str:
        """The same behind another port."""
        return f"postgresql+asyncpg://sekisho:{self.password}@127.0.0.1:{port}/postgres"

    def _run(self, name: str, *arguments: str) -> None:
        command = [_program(name), *arguments]
        subprocess.run(
            command, user=self._user, cwd=self.folder, check=True, capture_output=True, timeout=60
        )

    def start(self) -> None:
        """Start and wait until it answers."""
        settings = {**_SETTINGS, "port": str(self.port), "unix_socket_directories": ""}
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [_program("postgres"), "-D", str(self.data), *flags],
            user=self._user,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + START_S
        while True:
            try:
                PostgresDatabase(self.url).indexed()
            except Away:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """At once, with all sessions cut."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(START_S)
            self._process = None

    def checkpoint(self) -> None:
        """Everything in the files: a clean end and a new start."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(START_S)
        self.start()

    def files(self, *, log: bool) -> bytes:
        """All bytes it keeps on disk, with or without its log of writes (WAL)."""
        paths = [path for path in sorted(self.data.rglob("*")) if path.is_file()]
        return b"".join(path.read_bytes() for path in paths if log or "pg_wal" not in path.parts)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A server that is up."""
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.close()
