"""What search costs: building the index, its size, and how long queries and counts take.

    python tests/bench/bench_search.py [--events 1000000] [--texts 0.1] [--rounds 40] [--url URL]

Leaves are made up on the way, some four for an exchange, of 2,000 people in 200 days; `--texts` is
the part of the exchanges whose prompt can be read: some 150 characters, a third each of English,
Chinese and Japanese. Queries ask for another person, rule or word each time. With `--url`, an index
in PostgreSQL is measured beside the file.
"""

from __future__ import annotations

import argparse
import itertools
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from sekisho_audit.index import Index
from sekisho_audit.index_file import Database, SqliteDatabase
from sekisho_audit.index_postgres import PostgresDatabase
from sekisho_audit.query import parse
from sekisho_audit.search import Search
from sekisho_audit.tokens import Blind
from support.searches import KEY, ORIGIN, Leaf, decided, filed, leaf_of, outcome, received

PEOPLE = 2_000
STEP_EVENTS = 20_000
BEGIN_US = 1_767_225_600_000_000  # 2026-01-01
SPAN_US = 200 * 86_400_000_000
MODELS = [f"gpt-{n}" for n in range(8)] + [f"qwen-{n}" for n in range(22)]
RULES = [f"dlp.r{n}" for n in range(40)] + [f"office.r{n}" for n in range(60)]
ENGLISH = [f"{a}{b}" for a in ("mer", "con", "pre", "sup") for b in ("ger", "tract", "sent", "ply")]
CHINESE = ["身份证", "合同", "报价", "客户", "请", "翻译", "的", "数据", "内部", "独角兽计划"]
JAPANESE = ["契約", "見積もり", "カタカナ", "お願い", "します", "の", "資料", "株式会社"]


def pseudonym(number: int) -> str:
    """A person."""
    return f"p-{number:016x}"


def text_of(dice: random.Random) -> str:
    """A prompt."""
    words = dice.choice((ENGLISH, CHINESE, JAPANESE))
    count = 22 if words is ENGLISH else 60
    gap = " " if words is ENGLISH else ""
    return gap.join(dice.choices(words, k=count)) + f" {dice.randrange(100_000)}"


def exchange_of(dice: random.Random, with_text: bool) -> Iterator[tuple[str, Leaf, dict[str, Any]]]:
    """Types and data of an exchange: nine of ten are allowed, the rest held or denied."""
    effect = dice.choices(("allow", "hold", "deny"), (90, 4, 6))[0]
    model = dice.choice(MODELS)
    prompt = {"texts": ("prompt",)} if with_text else {"unstored": ("prompt",)}
    yield "request.received", received(model, "chat.completions"), prompt
    rules = dice.choices(RULES, k=1 + dice.randrange(2))
    yield "policy.decision", decided(effect, rules, rules[0]), {}
    if effect == "deny":
        yield "exchange.refused", {"code": "denied", "status": 403, "stage": "clear"}, {}
        return
    if effect == "hold":
        yield "hold.filed", filed(), {}
        yield "hold.review", {}, {"actor": pseudonym(dice.randrange(20))}
        yield "hold.settled", {"state": "approved"}, {}
    yield "backend.intent", {"backend": "openai", "model": model, "revision": "sha256:0"}, {}
    yield "backend.outcome", outcome(spend=dice.randrange(900)), {}


def leaves(events: int, texts: float, dice: random.Random) -> Iterator[tuple[int, Leaf]]:
    """All leaves in order."""
    n = 0
    while n < events:
        begun_us = BEGIN_US + SPAN_US * n // events
        exchange = f"{begun_us // 1000:012x}{n:020x}"
        exchange = "-".join((exchange[:8], exchange[8:12], "7000", "8000", f"{n:012x}"))
        principal = pseudonym(dice.randrange(PEOPLE))
        for kind, data, more in exchange_of(dice, dice.random() < texts):
            fixed = {"exchange": exchange, "principal": principal, "ts": begun_us}
            yield n, leaf_of(n, kind, data, **fixed, **more)
            n += 1


def timed(name: str, rounds: int, once: Callable[[int], int]) -> None:
    """Run a query again and again and print how long it took and how much it found."""
    took, found = [], 0
    for number in range(rounds):
        start = time.perf_counter()
        found += once(number)
        took.append((time.perf_counter() - start) * 1000)
    took.sort()
    p50, p95 = took[rounds // 2], took[min(rounds - 1, rounds * 95 // 100)]
    print(f"{name:<74} p50 {p50:8.1f} ms   p95 {p95:8.1f} ms   found {found / rounds:10.1f}")


def build(index: Index, events: int, texts: float) -> None:
    """Fill the index, and print how fast; making the leaves up is not counted."""
    source = leaves(events, texts, random.Random(7))  # noqa: S311 - the same leaves in each run
    spent = 0.0
    while step := list(itertools.islice(source, STEP_EVENTS)):
        start = time.perf_counter()
        index.take(step)
        spent += time.perf_counter() - start
    print(f"built {index.indexed} events in {spent:.1f} s: {index.indexed / spent:,.0f} a second")


def main() -> None:
    """Measure each database."""
    options = argparse.ArgumentParser()
    options.add_argument("--events", type=int, default=1_000_000)
    options.add_argument("--texts", type=float, default=0.1)
    options.add_argument("--rounds", type=int, default=40)
    options.add_argument("--url", help="of PostgreSQL; an index there is deleted")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = SqliteDatabase(Path(folder) / "search.db")
        measure(file, given)
        size = sum(item.stat().st_size for item in Path(folder).iterdir())
        print(f"file {size / 1e6:,.0f} MB, {size / given.events:.0f} bytes an event")
    if given.url:
        print("PostgreSQL")
        database = PostgresDatabase(given.url)
        database.remove()
        measure(database, given)
        database.remove()
    print(f"memory at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def measure(database: Database, given: argparse.Namespace) -> None:
    """Build, search, count, forget in one database."""
    dice, blind = random.Random(1), Blind(KEY)  # noqa: S311 - the same queries in each run
    gone: set[str] = set()
    rows = database.open(ORIGIN, blind.check)
    index = Index(rows, blind, lambda _leaf, _name: text_of(dice), lambda who: who not in gone)
    build(index, given.events, given.texts)
    search = Search(rows, blind, lambda name: pseudonym(int(name[6:])))

    def page(shape: str) -> Callable[[int], int]:
        def once(number: int) -> int:
            asked = shape.format(who=number * 37 % PEOPLE, rule=number, word=ENGLISH[number % 16])
            return len(search.page(parse(asked), "", 50).found)

        return once

    def count(shape: str) -> Callable[[int], int]:
        return lambda number: search.facets(parse(shape.format(who=number, rule=number))).total

    for shape in (
        "principal:staff-{who} effect:deny rule:dlp.* model:gpt-* after:2026-03-01",
        "effect:deny",
        "rule:office.r{rule} state:approved before:2026-02-01T09:30",
        "model:gpt-* -effect:allow -rule:dlp.* principal:staff-{who} status:failed",
        'effect:deny "身份证"',
        '"独角兽计划的合同" after:2026-02-01',
        '"契約" effect:hold',
        '"{word} contract" principal:staff-{who}',
    ):
        timed(shape, given.rounds, page(shape))
    for shape in (
        "principal:staff-{who}",
        "effect:deny after:2026-03-01 before:2026-04-01",
        "",
    ):
        timed(f"counts: {shape}", max(3, given.rounds // 8), count(shape))
    gone.add(pseudonym(3))
    start = time.perf_counter()
    forgotten = index.forget(gone)
    print(f"forgot one person, {forgotten} events: {time.perf_counter() - start:.1f} s")
    rows.close()


if __name__ == "__main__":
    main()
