"""What a governed request costs, beside a bare FastAPI + httpx pass-through in the same run.

    make bench        or        .venv/bin/python tests/bench/bench_gateway.py [--requests N]

The gateway runs whole: key, six limits, shipped policy with 1,000 principals in its data, scan,
both durable commits, embedded OPA, auditd and Valkey; the CPU time of all its processes counts. The
pass-through does nothing. Gateway and pass-through get one processor, load and backend the other.
Ratios are what counts: absolute figures belong to one machine on one day. Writes bench.json and
bench.png.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import matplotlib as mpl
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sekisho.adapters.key_desk import KeyDesk
from sekisho.config import load as load_settings
from support.installation import Installation, free_port

mpl.use("Agg")
from matplotlib import pyplot as plt

HERE = Path(__file__).parent
# Six limits for each request, too wide to refuse one; and a price.
LIMITS = """
limits:
  - {for: "principal:*", requests_per_min: 100000, tokens_per_min: 100000000, spend_per_day: 9999}
  - {for: "principal:*", concurrent: 2000}
  - {for: "group:employees", spend_per_month: 999999}
  - {for: "backend:*", requests_per_min: 1000000}
prices:
  currency: "USD"
  default: {input: 1, output: 4}
"""
PRINCIPALS = 1000
KEYS = 100
MEMO_MAX = 8192
STREAM_CHUNKS, PAUSE_MS = 100, 10.0
IDLE_STREAMS = 200
HANGUP_S_MAX = 10.0


def processes(root: int) -> list[psutil.Process]:
    """A process and all below it."""
    top = psutil.Process(root)
    return [top, *top.children(recursive=True)]


def cpu_s(root: int) -> float:
    """User and system seconds of the whole tree so far."""
    total = 0.0
    for process in processes(root):
        times = process.cpu_times()
        total += times.user + times.system
    return total


def rss_mb(root: int) -> float:
    """Resident memory of the whole tree."""
    return sum(process.memory_info().rss for process in processes(root)) / 1e6


@contextmanager
def pinned(cpu: int) -> Iterator[None]:
    """Children started here run on one processor."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu} & before or before)
    yield
    os.sched_setaffinity(0, before)


def load(port: int, shape: str, callers: int, requests: int, keys: Path) -> dict[str, Any]:
    """Run the generator on the second processor; what it printed."""
    with pinned(1):
        done = subprocess.run(
            [sys.executable, str(HERE / "load.py"), str(port), shape, str(callers), str(requests),
             str(keys)],
            capture_output=True, text=True, check=True, timeout=600,
        )  # fmt: skip
    return dict(json.loads(done.stdout))


@dataclass(frozen=True)
class Target:
    """What is measured: the top of its process tree, its port, keys to use, its backend."""

    root: int
    port: int
    keys: Path
    backend: str


def measure(name: str, target: Target, requests: int) -> dict[str, float]:
    """All shapes against one target."""
    root, port, keys = target.root, target.port, target.keys
    load(port, "plain", 16, min(300, requests), keys)  # warm-up
    figures: dict[str, float] = {}
    cpu = cpu_s(root)
    plain = load(port, "plain", 64, requests, keys)
    figures["cpu_us_per_request"] = (cpu_s(root) - cpu) / requests * 1e6
    figures["requests_per_s"] = requests / plain["wall_s"]
    figures["p50_ms_64"] = plain["p50_ms"]
    figures["p99_ms_64"] = plain["p99_ms"]
    one = load(port, "plain", 1, min(300, requests), keys)
    figures["p50_ms_1"] = one["p50_ms"]
    streams = 32
    cpu = cpu_s(root)
    stream = load(port, "stream", streams, streams, keys)
    whole = (cpu_s(root) - cpu) / (streams * STREAM_CHUNKS) * 1e6
    figures["cpu_us_per_chunk_whole"] = whole
    figures["cpu_us_per_chunk"] = whole - figures["cpu_us_per_request"] / STREAM_CHUNKS
    figures["rss_mb"] = rss_mb(root)
    failures = plain["failures"] + one["failures"] + stream["failures"]
    if failures:
        message = f"{name}: {failures} requests failed: these figures mean nothing"
        raise SystemExit(message)
    return figures


def idle_streams(target: Target) -> dict[str, float]:
    """Memory for each open silent stream, and how soon the backend learns that all hung up."""
    root, port = target.root, target.port
    key = target.keys.read_text().split()[0]
    backend_port = int(target.backend.rsplit(":", 1)[1].split("/")[0])
    body = b'{"model":"idle","stream":true,"messages":[{"role":"user","content":"hi"}]}'
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode()
    before = rss_mb(root)
    sockets = []
    for _ in range(IDLE_STREAMS):
        sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        sock.sendall(head + body)
        sock.recv(4096)
        sockets.append(sock)
    kb = (rss_mb(root) - before) * 1000 / IDLE_STREAMS
    for sock in sockets:
        sock.close()
    began = time.perf_counter()
    while time.perf_counter() - began < HANGUP_S_MAX:
        open_now = httpx.get(f"http://127.0.0.1:{backend_port}/idle", trust_env=False).json()
        if not open_now:
            break
        time.sleep(0.005)
    return {"kb_per_idle_stream": kb, "hangup_s": time.perf_counter() - began}


def fdatasync_p50_ms(folder: Path) -> float:
    """What the disk itself costs just now."""
    times = []
    with (folder / "probe").open("wb") as file:
        for _ in range(200):
            file.write(b"x" * 1024)
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
    return sorted(times)[len(times) // 2]


def policy_data() -> str:
    """The shipped data with 1,000 principals of their own in it."""
    shipped = (HERE.parents[1] / "policies" / "data.yaml").read_text()
    people = "".join(
        f"  staff-{number}: {{max_tokens: {512 + number}}}\n" for number in range(PRINCIPALS)
    )
    return shipped.replace("principals: {}\n", f"principals:\n{people}") + LIMITS


@contextmanager
def gateway(folder: Path, backend: str, memo_max: int) -> Iterator[Target]:
    """The governed gateway, everything on; `memo_max` decisions are kept."""
    installation = Installation(
        folder,
        {"*": backend},
        settings={
            "log": {"level": "error"},
            "policy": {"memo_max": memo_max},
            "server": {"per_principal_max": 1000},
        },
        policy_data=policy_data(),
    )
    with pinned(0):
        installation.start()
    try:
        keys = folder / "keys.txt"
        desk = KeyDesk(load_settings(installation.config))
        made = [
            desk.create(f"staff-{n}", groups=("employees",), roles=("employee",))
            for n in range(KEYS)
        ]
        keys.write_text("\n".join(made))
        if installation.process is None:
            raise SystemExit("the gateway did not start")
        yield Target(installation.process.pid, installation.port, keys, backend)
    finally:
        installation.stop()


@contextmanager
def pass_through(folder: Path, backend: str) -> Iterator[Target]:
    """The yardstick."""
    port = free_port()
    folder.mkdir()
    keys = folder / "none.txt"
    keys.write_text("sk-none")
    with pinned(0):
        process = subprocess.Popen(
            [sys.executable, str(HERE / "pass_through.py"), str(port), backend]
        )
    try:
        time.sleep(3)
        yield Target(process.pid, port, keys, backend)
    finally:
        process.terminate()
        process.wait(10)


def run(url: str, requests: int, folder: Path) -> dict[str, dict[str, float]]:
    """Each target twice: under load, and started afresh for the idle streams, because what a load
    leaves behind in memory and in connection pools would falsify those.
    """
    targets: dict[str, Callable[[str], AbstractContextManager[Target]]] = {
        "sekisho": lambda name: gateway(folder / f"g{name}", url, MEMO_MAX),
        "no memo": lambda name: gateway(folder / f"n{name}", url, 0),
        "pass-through": lambda name: pass_through(folder / f"p{name}", url),
    }
    results = {}
    for title, start in targets.items():
        with start("load") as target:
            figures = measure(title, target, requests)
        with start("idle") as target:
            load(target.port, "stream", 8, 8, target.keys)  # warm-up
            results[title] = figures | idle_streams(target)
    return results


def plot(results: dict[str, dict[str, float]], file: Path) -> None:
    """The figures people compare, side by side."""
    shown = {
        "cpu_us_per_request": "CPU, us per request",
        "cpu_us_per_chunk": "CPU, us per streamed chunk",
        "p50_ms_1": "latency p50, 1 caller, ms",
        "p99_ms_64": "latency p99, 64 callers, ms",
        "kb_per_idle_stream": "memory, KB per idle stream",
    }
    figure, axes = plt.subplots(1, len(shown), figsize=(15, 3.4))
    for axis, name in zip(axes, shown, strict=True):
        values = [results[target][name] for target in results]
        bars = axis.bar(list(results), values, color=["#1f6f5c", "#7fb3a3", "#b0b0b0"])
        axis.bar_label(bars, labels=[f"{value:,.{0 if value >= 10 else 1}f}" for value in values])
        axis.margins(y=0.15)
        axis.tick_params(axis="x", labelrotation=15)
        axis.set_title(shown[name], fontsize=10)
    figure.suptitle("Sekisho with everything on, beside a FastAPI + httpx pass-through")
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def main() -> None:
    """Run both, print ratios, write the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--out", type=Path, default=Path(".build/bench"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    port = free_port()
    with pinned(1):
        backend = subprocess.Popen(
            [sys.executable, str(HERE / "cheap_backend.py"), str(port), str(STREAM_CHUNKS),
             str(PAUSE_MS)]
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}/v1"
    try:
        with tempfile.TemporaryDirectory(prefix="sb") as name:
            folder = Path(name)
            disk_ms = fdatasync_p50_ms(folder)
            results = run(url, options.requests, folder)
    finally:
        backend.terminate()
        backend.wait(10)
    report(results, disk_ms)
    (options.out / "bench.json").write_text(json.dumps(results, indent=1))
    plot(results, options.out / "bench.png")
    print(f"plot: {options.out / 'bench.png'}")


def report(results: dict[str, dict[str, float]], disk_ms: float) -> None:
    """The table of docs/performance.md."""
    ours, cold, theirs = results["sekisho"], results["no memo"], results["pass-through"]
    print(f"{'':26}{'sekisho':>12}{'no memo':>12}{'pass-through':>14}{'ratio':>8}{'no memo':>9}")
    for name, value in ours.items():
        print(
            f"{name:26}{value:12.2f}{cold[name]:12.2f}{theirs[name]:14.2f}"
            f"{value / theirs[name]:8.2f}{cold[name] / theirs[name]:9.2f}"
        )
    added = ours["p50_ms_1"] - theirs["p50_ms_1"] - 2 * disk_ms
    print(f"fdatasync p50 in this run: {disk_ms:.3f} ms")
    print(f"p50 at one caller beyond the pass-through, less two fdatasyncs: {added:.2f} ms")


if __name__ == "__main__":
    main()
