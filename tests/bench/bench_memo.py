"""What a kept decision costs, and how often there is one: `python tests/bench/bench_memo.py`.

Prints, judges nothing. 2,000 distinct prompts of 200 principals go through the real describe and
the shipped rules: sizes from a line to a book, some with personal data or words of a label, some
with functions, a cap or a file; clock and limits differ each time, spending grows.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

sys.path.insert(0, str(Path(__file__).parents[1]))

from sekisho.adapters.opa_embedded import EmbeddedOPA
from sekisho.adapters.policy_memo import MemoizedEngine
from sekisho.content.scan import Scanner
from sekisho.model.catalog import Backend, Catalog
from sekisho.model.exchange import Exchange
from sekisho.model.limits import Standing
from sekisho.model.office import Office
from sekisho.model.principal import Principal, Role
from sekisho.stages.describe import describe
from support.rules import SHIPPED
from support.unlimited import Unlimited

PRINCIPALS = 200
PROMPTS = 2_000
ROUNDS = 5_000
KEPT_MAX = 10_000
CATALOG = Catalog((Backend("backend-1", ("model-*",), "external"),))
GROUPS = ("employees", "sales", "engineering")
BEGAN_US = 1_763_985_600_000_000
WORDS = ("customer", "offer", "last", "week", "still", "holds", "contract", "answer", "please")
PARTS: tuple[tuple[float, str], ...] = (
    (0.10, "Write to person-{}@example.com. "),
    (0.05, "Mail a-{0}@example.com and b-{0}@example.com and c-{0}@example.com. "),
    (0.02, "Card 4111 1111 1111 1111. "),
    (0.02, "This is top secret. "),
    (0.03, "Here is the customer list. "),
)


def prompts(chance: random.Random) -> Iterator[dict[str, Any]]:
    """Bodies, no two alike."""
    for number in range(PROMPTS):
        size = chance.choice((20, 20, 100, 100, 400, 2_000))
        text = f"{number}: " + " ".join(chance.choices(WORDS, k=size)) + ". "
        text += "".join(part.format(number) for part_of, part in PARTS if chance.random() < part_of)
        content: Any = text
        if chance.random() < 0.03:
            file = {"url": "data:image/png;base64," + "iVBO" * chance.randrange(100, 4_000)}
            content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": file}]
        body: dict[str, Any] = {
            "model": f"model-{chance.randrange(3)}",
            "messages": [{"role": "user", "content": content}],
            "stream": chance.random() < 0.5,
        }
        if chance.random() < 0.3:
            body["max_tokens"] = chance.choice((256, 512, 1024, 2048, 4096))
        if chance.random() < 0.1:
            names = chance.sample(("crm.read", "crm.write", "mail.send", "search"), 2)
            body["tools"] = [{"type": "function", "function": {"name": name}} for name in names]
        yield body


async def documents(chance: random.Random, scanner: Scanner) -> list[dict[str, Any]]:
    """What rules would see, in order."""
    made = []
    spent = [chance.randrange(100) for _ in range(PRINCIPALS)]  # %, of a budget of their own
    for number, body in enumerate(prompts(chance)):
        who = chance.randrange(PRINCIPALS)
        groups = frozenset({"employees", GROUPS[who % len(GROUPS)]})
        principal = Principal(f"staff-{who}", frozenset({Role.EMPLOYEE}), groups)
        exchange = Exchange(
            id=f"0192e4a0-0000-7000-8000-{number:012}",
            received_us=BEGAN_US + number * 1_000_000,
            endpoint="chat.completions",
            body=orjson.dumps(body),
            parsed=body,
            client_ip=f"192.0.2.{chance.randrange(1, 255)}",
        )
        day, month = (spent[who] + number // 100) % 100, spent[who]
        stands = Standing(
            chance.randrange(120),
            chance.randrange(200_000),
            day * 500_000 + number,
            month * 8_000_000 + number,
            day // 10 * 10,
            month // 10 * 10,
        )
        facts = await describe(
            exchange,
            principal,
            CATALOG,
            scanner,
            limiter=Unlimited(stands=stands),
            now_us=exchange.received_us,
            office=Office(),
        )
        made.append(dict(facts.document))
    return made


def values(document: dict[str, Any], path: tuple[str, ...]) -> bytes:
    """What stands at one path."""
    here: Any = document
    for name in path:
        here = here[name] if isinstance(here, dict) and name in here else None
    return orjson.dumps(here, option=orjson.OPT_SORT_KEYS)


async def main() -> None:
    """All figures."""
    engine = EmbeddedOPA(SHIPPED, deadline_ms=10_000)
    await engine.start()
    asked = await documents(random.Random(5), engine.scanner)  # noqa: S311 - the same each time
    kept: list[bool] = []
    memo = MemoizedEngine(engine, KEPT_MAX, kept.append)
    for turn in ("first", "second"):
        kept.clear()
        for document in asked:
            await memo.decide(document)
        print(f"{turn} time of {PROMPTS} prompts of {PRINCIPALS} principals:"
              f" {100 * sum(kept) / PROMPTS:.1f} % kept")  # fmt: skip
    reads = engine.bundle.reads or ()
    alike = Counter(b"|".join(values(one, path) for path in reads) for one in asked)
    print(f"distinct questions: {len(alike)}; without one path, with the values it takes:")
    for path in reads:
        rest = [other for other in reads if other != path]
        fewer = len({b"|".join(values(one, other) for other in rest) for one in asked})
        kinds = len({values(one, path) for one in asked})
        print(f"  {'.'.join(path):24} {fewer:5} questions, {kinds:4} values")
    took = []
    for turn in range(ROUNDS):
        document = asked[turn % PROMPTS]
        began = time.thread_time_ns()
        await memo.decide(document)
        took.append((time.thread_time_ns() - began) / 1000)
    print(f"a kept decision: p50 {statistics.median(took):.1f} us,"
          f" p99 {statistics.quantiles(took, n=100)[98]:.1f} us")  # fmt: skip
    await engine.close()


if __name__ == "__main__":
    asyncio.run(main())
