"""What a decision and a scan cost: `python tests/bench/bench_policy.py`. Prints, judges nothing.

CPU time, because wall time on a shared machine is mostly other people's. The decision runs in this
thread against the real engine with 1,000 principals in data; the whole adapter is measured as
process time over 64 callers at once, threads and all. `--reload` measures reloads alone.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import uvloop
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from sekisho.adapters.bundle import build, read_bundle
from sekisho.adapters.opa_channel import OpaPlace
from sekisho.adapters.opa_embedded import EmbeddedOPA
from sekisho.adapters.opa_server import ServerOPA
from sekisho.content.scan import Scanner
from sekisho.supervisor import GO_COLLECTOR_PERCENT
from sekisho.worker import calm_collector
from support.rules import SHIPPED, document

PRINCIPALS = 1000
ROUNDS = 500
CALLERS = 64
RELOADS = 15
PROSE = "The quick brown fox jumps over the lazy dog and runs on through the wood until night. "
PERSONAL = PROSE + "Write to bob@example.com about card 4111 1111 1111 1111, he said on the phone. "
CHINESE = "这是一个测试，请把客户的资料整理成表格，然后发给我们的同事。"
CODE = 'def handle(path: str) -> None:\n    print(f"read {path}\\n", file=sys.stderr)\n'


def cpu_us(work: Callable[[], Any], rounds: int = ROUNDS) -> tuple[float, float]:
    """CPU of this thread for one call: p50 and p99."""
    took = []
    for _ in range(rounds):
        began = time.thread_time_ns()
        work()
        took.append((time.thread_time_ns() - began) / 1000)
    return statistics.median(took), statistics.quantiles(took, n=100)[98]


def scans() -> None:
    """CPU per KB of several texts."""
    scanner = Scanner({"secret": ["top secret", "绝密"], "review": ["customer list"]})
    for name, text in (
        ("prose", PROSE),
        ("personal", PERSONAL),
        ("Chinese", CHINESE),
        ("code", CODE),
    ):
        for size in (2048, 102_400):
            whole = text * (size // len(text.encode()) + 1)
            content = whole.encode()[:size].decode("utf-8", "ignore")
            body = {
                "model": "model-1",
                "messages": [
                    {"role": "system", "content": "You are helpful."},
                    {"role": "user", "content": content},
                ],
                "stream": True,
            }
            p50, p99 = cpu_us(lambda body=body: scanner.scan(body), 200 if size < 10_000 else 10)
            print(f"scan {name:9} {size // 1024:4} KB  p50 {p50:8.0f} us  p99 {p99:8.0f} us"
                  f"  {p50 / size * 1024:6.1f} us/KB")  # fmt: skip


def grown(folder: Path, principals: int = PRINCIPALS) -> Path:
    """The shipped bundle with many principals in data."""
    made = folder / "policies"
    shutil.copytree(SHIPPED, made)
    data = yaml.safe_load((made / "data.yaml").read_text("utf-8"))
    data["principals"] = {
        f"staff-{number}": {"models": ["model-*", f"own-{number}"], "max_tokens": 4096}
        for number in range(principals)
    }
    (made / "data.yaml").write_text(yaml.safe_dump(data, allow_unicode=True), "utf-8")
    return made


def decisions(directory: Path) -> None:
    """CPU of one decision in the engine, and of building the engine."""
    began = time.process_time()
    bundle = read_bundle(directory)
    read = time.process_time()
    with build(bundle) as engine:
        built = time.process_time()
        asked = document()
        p50, p99 = cpu_us(lambda: engine.eval_document("sekisho.decision", asked))
    print(f"bundle with {PRINCIPALS} principals: read and check {1000 * (read - began):.0f} ms,"
          f" build {1000 * (built - read):.0f} ms")  # fmt: skip
    print(f"decision in the engine       p50 {p50:8.0f} us  p99 {p99:8.0f} us")


async def adapter(directory: Path) -> None:
    """CPU of the whole process for one decision, 64 callers."""
    engine = EmbeddedOPA(directory, deadline_ms=10_000)
    await engine.start()
    took = []
    for _ in range(10):
        began = time.process_time_ns()
        await asyncio.gather(
            *(engine.decide(document(principal__id=f"staff-{n}")) for n in range(CALLERS))
        )
        took.append((time.process_time_ns() - began) / 1000 / CALLERS)
    print(f"decision through the adapter p50 {statistics.median(took):8.0f} us of the process")
    await engine.close()


async def reloads(folder: Path, principals: int) -> None:
    """CPU of the process from the wish to reload until the new rules decide: all changes once."""
    directory = grown(folder / str(principals), principals)
    engine = EmbeddedOPA(directory, deadline_ms=10_000)
    began = time.process_time()
    await engine.start()
    took: dict[str, list[float]] = {"first load": [time.process_time() - began]}
    for name, file, line, more in (
        ("only data changed", "data.yaml", "principals:\n", "  new-{}: {{max_tokens: 7}}\n"),
        ("one rule file changed", "packs/default/models.rego", "# METADATA\n", "# title: {}\n"),
    ):
        place = directory / file
        source = place.read_text("utf-8")
        took[name] = []
        for turn in range(RELOADS):
            place.write_text(source.replace(line, line + more.format(turn), 1), "utf-8")
            began = time.process_time()
            await engine.reload(directory)
            took[name].append(time.process_time() - began)
    name = "the second engine, when two questions meet"
    took[name] = []
    for _ in range(RELOADS):
        began = time.process_time()
        build(engine.bundle).close()
        took[name].append(time.process_time() - began)
    await engine.close()
    for name, figures in took.items():
        print(f"{principals:6} principals, {name}: p50 {1000 * statistics.median(figures):.0f} ms,"
              f" least {1000 * min(figures):.0f} ms")  # fmt: skip


@contextmanager
def separate_server(directory: Path) -> Iterator[str]:
    """The URL of an OPA server in a process of its own, so that its CPU is not counted as ours."""
    command = [sys.executable, "-m", "support.opa_data_api", str(directory)]
    with subprocess.Popen(
        command,
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


async def server_path(directory: Path, url: str) -> None:
    """CPU of this process for one decision that a server takes: all that the client costs.

    Beside it a bare aiohttp POST of the same bytes to the same server, which is the floor.
    """
    engine = ServerOPA(directory, OpaPlace(url), deadline_ms=10_000)
    await engine.start()
    await engine.decide(document())
    asked = f"{url}/v1/data/sekisho/decision?provenance=true&strict-builtin-errors=true"
    documents = [document(principal__id=f"staff-{number}") for number in range(CALLERS)]
    async with aiohttp.ClientSession(headers={"content-type": "application/json"}) as session:

        async def bare(one: Any) -> Any:
            body = orjson.dumps({"input": one})
            async with session.post(asked, data=body) as response:
                return orjson.loads(await response.read())

        took: dict[str, list[float]] = {"one caller": [], f"{CALLERS} callers": [], "bare POST": []}
        for turn in range(ROUNDS // 10):
            for name, ask, several in (
                ("one caller", engine.decide, documents[turn % CALLERS :][:1]),
                (f"{CALLERS} callers", engine.decide, documents),
                ("bare POST", bare, documents),
            ):
                began = time.process_time_ns()
                await asyncio.gather(*(ask(one) for one in several))
                took[name].append((time.process_time_ns() - began) / 1000 / len(several))
    await engine.close()
    for name, figures in took.items():
        print(f"client of a server, {name:10} p50 {statistics.median(figures):6.0f} us"
              f"  least {min(figures):6.0f} us of the process")  # fmt: skip


def as_workers_are() -> None:
    """Both collectors as workers have them. OPA's runtime reads the environment that its process
    was started with, so what is set later says nothing to it: start again.
    """
    if "GOGC" not in os.environ:
        os.environ["GOGC"] = GO_COLLECTOR_PERCENT
        os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606 - this very program
    calm_collector()


def main() -> None:
    """All figures, or those of reloads."""
    as_workers_are()
    with tempfile.TemporaryDirectory() as folder:
        for principals in (PRINCIPALS, 10 * PRINCIPALS):
            asyncio.run(reloads(Path(folder), principals))
        if "--reload" in sys.argv[1:]:
            return
        directory = grown(Path(folder))
        decisions(directory)
        asyncio.run(adapter(directory))
        with separate_server(directory) as url:
            uvloop.run(server_path(directory, url))  # as the workers do
    scans()


if __name__ == "__main__":
    main()
