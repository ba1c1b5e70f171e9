"""How soon a revoked key is refused everywhere: `.venv/bin/python tests/bench/bench_revocation.py`.

A whole installation with four workers under load, a large registry, and somebody who changes the
registry five times a second meanwhile. What counts is when the key was last let in by any worker,
after the command that revoked it had committed. Prints, judges nothing; the promise is a second.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sekisho.adapters.key_desk import read_pepper
from sekisho.adapters.registry_keys import KeyTerms, create, revoke
from sekisho.adapters.sql_registry import Registry
from support.installation import Installation
from support.large_registry import fill

SIZES = (1_000, 20_000, 50_000)
WORKERS = 4
ROUNDS = 5
CHANGE_S = 0.2
ASKERS, LOADERS = 4, 4
WATCH_S = 5.0
HTTP_OK = 200


class Load:
    """Clients that ask for `/v1/models` as fast as they are answered; counts answers."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = f"{url}/v1/models", key
        self._over = threading.Event()
        self.statuses: dict[int, int] = {}
        self._threads = [threading.Thread(target=self._run) for _ in range(LOADERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        headers = {"authorization": f"Bearer {self._key}"}
        with httpx.Client(headers=headers, timeout=20, trust_env=False) as http:
            while not self._over.is_set():
                status = http.get(self._url).status_code
                self.statuses[status] = self.statuses.get(status, 0) + 1


def last_let_in(url: str, key: str, since_s: float) -> float:
    """Seconds after `since_s` at which this key was last let in, on connections of their own."""
    last = 0.0
    until_s = since_s + WATCH_S
    fresh = httpx.Limits(max_keepalive_connections=0)
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(headers=headers, limits=fresh, timeout=20, trust_env=False) as http:
        while time.monotonic() < until_s:
            asked_s = time.monotonic()
            if http.get(f"{url}/v1/models").status_code == HTTP_OK:
                last = max(last, asked_s - since_s)
    return last


def changes(registry: Registry, over: threading.Event) -> None:
    """One person after the other gets another group."""
    number = 0
    while not over.wait(CHANGE_S):
        number += 1
        with registry.change() as change:
            change.set_groups(f"person-{100 + number % 800}", {"sales", f"g{number}"})


def measure(folder: Path, size: int) -> None:
    """Print one line."""
    installation = Installation(folder, {"*": "http://127.0.0.1:9"}, workers=WORKERS)
    installation.start()
    loading = installation.key("loader")
    pepper = read_pepper(folder / "keys")
    registry = fill(folder / "data" / "registry.sqlite", size)
    with registry.change() as change:
        keys = [create(change, f"person-{n}", pepper, KeyTerms()) for n in range(ROUNDS)]
    time.sleep(WATCH_S)
    over = threading.Event()
    changing = threading.Thread(target=changes, args=(registry, over))
    changing.start()
    delays = []
    with Load(installation.url, loading) as load, ThreadPoolExecutor(ASKERS) as pool:
        for key in keys:
            with registry.change() as change:
                revoke(change, key.id)
            now_s = time.monotonic()
            watching = [
                pool.submit(last_let_in, installation.url, key.plaintext, now_s)
                for _ in range(ASKERS)
            ]
            delays.append(max(one.result() for one in watching))
    over.set()
    changing.join()
    registry.close()
    installation.stop()
    seconds = ", ".join(f"{delay:.2f}" for delay in delays)
    print(f"{size:>7,} principals   last let in after {seconds} s   load {load.statuses}")


def main() -> None:
    """All sizes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    with tempfile.TemporaryDirectory() as folder:
        for size in parser.parse_args().sizes:
            measure(Path(folder) / str(size), size)


if __name__ == "__main__":
    main()
