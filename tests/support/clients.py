"""Clients as staff use them, unmodified: each is a process that runs jobs and says what it saw.

The scripts are in tests/clients (Python) and tests/node. `deploy/clients.sh` and `deploy/node.sh`
put the packages in place. How a job and its answer look stands in tests/node/serving.mjs.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
ANSWERS_S = 90.0  # a job that takes longer hangs
_NODE = Path(sys.executable).parent / "node"
_PYTHON_PACKAGES = ROOT / ".venv" / "clients"

COMMANDS: dict[str, tuple[Sequence[str | Path], Sequence[str]]] = {
    "openai-python": ((sys.executable, "tests/clients/openai_client.py"), ()),
    "openai-node": ((_NODE, "tests/node/openai_client.mjs"), ()),
    "ai-sdk-compatible": ((_NODE, "tests/node/ai_client.mjs"), ("compatible",)),
    "ai-sdk-openai": ((_NODE, "tests/node/ai_client.mjs"), ("openai",)),
    "langchain-openai": ((sys.executable, "tests/clients/langchain_client.py"), ()),
    "openai-agents": ((sys.executable, "tests/clients/agents_client.py"), ()),
    "openai-python-responses": ((sys.executable, "tests/clients/openai_responses_client.py"), ()),
    "openai-node-responses": ((_NODE, "tests/node/openai_responses_client.mjs"), ()),
    "ai-sdk-responses": ((_NODE, "tests/node/ai_client.mjs"), ("responses",)),
    "langchain-responses": ((sys.executable, "tests/clients/langchain_client.py"), ("responses",)),
    "agents-responses": ((sys.executable, "tests/clients/agents_client.py"), ("responses",)),
}
RETRIEVING = frozenset(  # the others' users ask again
    {"openai-python", "openai-node", "openai-python-responses", "openai-node-responses"}
)


def put_in_place() -> None:
    """Install what the scripts import; quick if it is there."""
    for script in ("clients.sh", "node.sh"):
        done = subprocess.run(
            [ROOT / "deploy" / script], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr)


@dataclass
class Told:
    """What a client's user sees: an answer or an error, and which tools ran for it."""

    ran: list[str]
    text: str | None = None
    finish: str | None = None
    called: list[str] = field(default_factory=list)
    error: dict[str, Any] = field(default_factory=dict)


class Client:
    """Use as a context manager. Jobs may be given while others run."""

    def __init__(self, name: str, base_url: str, key: str) -> None:
        command, more = COMMANDS[name]
        self._command = [*map(str, command), base_url, key, *more]
        self._ids = itertools.count()
        self._open: dict[int, Future[Told]] = {}

    def __enter__(self) -> Self:
        packages = {"PYTHONPATH": str(_PYTHON_PACKAGES), "NO_PROXY": "*"}
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env={**os.environ, **packages},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(20)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def start(self, verb: str, **job: Any) -> Future[Told]:
        """Have a job run; what its user sees, once it is there."""
        number = next(self._ids)
        future = self._open[number] = Future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, "verb": verb, **job}) + "\n")
        self._process.stdin.flush()
        return future

    def run(self, verb: str, **job: Any) -> Told:
        """Have a job run and wait for it."""
        return self.start(verb, **job).result(ANSWERS_S)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            future = self._open.pop(said.pop("id"))
            future.set_result(Told(**said))
        for future in self._open.values():
            future.set_exception(RuntimeError("the client ended before its job did"))
