"""A whole installation, as an operator runs it: `sekisho serve` with a configuration on disk.

All parts are real: auditd, Valkey, embedded OPA, the shipped policies. Only the backend may be a
scripted one. Waits are short so that holds can time out in a test.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[2]
START_S = 120.0  # a busy machine; an idle one takes three
KEY_KNOWN_S = 1.0


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Installation:
    """One running gateway. `backends` maps model patterns to base URLs."""

    folder: Path
    backends: Mapping[str, str]
    workers: int = 1
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    policy_data: str | None = None
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients point."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.folder / "sekisho.toml"

    @property
    def ledger(self) -> Path:
        """The ledger's directory."""
        return self.folder / "data" / "ledger"

    @property
    def log(self) -> Path:
        """What the installation printed."""
        return self.folder / "serve.log"

    def write(self) -> None:
        """Lay out configuration and policies."""
        self.folder.mkdir(parents=True, exist_ok=True)
        bundle = self.folder / "policies"
        if not bundle.exists():
            shutil.copytree(ROOT / "policies", bundle)
        if self.policy_data is not None:
            (bundle / "data.yaml").write_text(self.policy_data)
        sections: dict[str, dict[str, Any]] = {
            "server": {"port": self.port, "workers": self.workers, "drain_s": 2},
            "audit": {"keys_dir": "keys", "session_grace_s": 2},
            "policy": {"bundle": "policies"},
            "holds": {"hop_wait_s": 1, "wait_total_s": 6},
            # One reviewer decides as fast as a test asks; what slows people down has its own tests.
            "reviews": {"dwell_s": 0, "decisions_warn": 10**6, "decisions_max": 10**6},
        }
        for name, values in self.settings.items():
            sections.setdefault(name, {}).update(values)
        lines = ['data_dir = "data"']
        for name, values in sections.items():
            lines.append(f"[{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        for number, (models, url) in enumerate(self.backends.items()):
            lines += [
                "[[backends]]",
                f'id = "backend-{number}"',
                'profile = "openai"',
                f'base_url = "{url}"',
                f"models = {json.dumps(models.split())}",
                'trust = "onprem"',
                "keepalive_s = 3",
                "concurrency = 1000",
            ]
        self.config.write_text("\n".join(lines) + "\n")

    def add_team_rules(self, name: str, rules: str) -> None:
        """A pack `team` of its own with one file, in force; after `write`, before `start`."""
        policies = self.folder / "policies"
        pack = policies / "packs" / "team"
        pack.mkdir(parents=True)
        (pack / f"{name}.rego").write_text(rules)
        data = policies / "data.yaml"
        data.write_text(data.read_text().replace("modes:\n", "modes:\n  team: enforce\n"))

    def start(self, *, wait: bool = True) -> None:
        """Run `sekisho serve` and wait until it is ready."""
        if not self.config.exists():
            self.write()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sekisho.cli", "serve", "--config", str(self.config)],
                stdout=log,
                stderr=log,
                env={**os.environ, "NO_PROXY": "*"},
            )
        if wait:
            self.wait_ready()

    def wait_ready(self, timeout_s: float = START_S) -> None:
        """Until /readyz says ready; fails with the log if it does not come."""
        until = time.monotonic() + timeout_s
        last = ""
        while time.monotonic() < until:
            if self.process is not None and self.process.poll() is not None:
                break
            try:
                answer = httpx.get(f"{self.url}/readyz", timeout=3, trust_env=False)
                last = answer.text
                if answer.status_code == httpx.codes.OK:
                    return
            except httpx.TransportError as error:
                last = repr(error)
            time.sleep(0.05)
        message = f"not ready: {last}\n{self.log.read_text()[-4000:]}"
        raise AssertionError(message)

    def stop(self) -> int:
        """SIGTERM and wait; the exit status."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=40)
        self.process = None
        return status

    def run(self, *arguments: str, key: str = "", check: bool = True) -> str:
        """A `sekisho` command against this installation; its output."""
        environment = {**os.environ, "SEKISHO_URL": self.url, "SEKISHO_KEY": key}
        done = subprocess.run(
            [sys.executable, "-m", "sekisho.cli", *arguments],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
            check=False,
        )
        if check and done.returncode != 0:
            message = f"sekisho {' '.join(arguments)}: {done.returncode}\n{done.stderr}"
            raise AssertionError(message)
        return done.stdout

    def key(self, principal: str, groups: str = "employees", roles: str = "employee") -> str:
        """A fresh key that every worker knows by now: they look for new ones twice a second."""
        made = self.run(
            "key", "create", "--config", str(self.config),
            "--principal", principal, "--groups", groups, "--roles", roles,
        ).strip().splitlines()[-1]  # fmt: skip
        if self.process is not None:
            time.sleep(KEY_KNOWN_S)
        return made

    def verify(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`sekisho-audit verify` on the ledger."""
        return subprocess.run(
            [sys.executable, "-m", "sekisho_audit.cli", "verify", str(self.ledger), *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def leaves(self) -> list[dict[str, Any]]:
        """All events of the ledger, as `sekisho-audit show --json` prints them."""
        done = subprocess.run(
            [sys.executable, "-m", "sekisho_audit.cli", "show", str(self.ledger), "--json"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    def pids(self, part: str) -> list[int]:
        """Process ids of a part: auditd, valkey-server or worker."""
        assert self.process is not None
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if any(part in word for word in child.cmdline()):
                    found.append(child.pid)
            except psutil.Error:
                continue
        return found

    def kill(self, part: str) -> None:
        """Kill -9 one process of a part."""
        os.kill(self.pids(part)[0], signal.SIGKILL)


def events_of(leaves: Sequence[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    """The events of one type."""
    return [leaf for leaf in leaves if leaf["type"] == kind]
