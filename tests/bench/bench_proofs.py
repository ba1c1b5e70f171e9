"""What a proof costs: `.venv/bin/python tests/bench/bench_proofs.py [--leaves N]`.

CPU time of inclusion and consistency proofs over a tree of ten million leaves, with what they read
in memory: at once after start (each tile is hashed anew), and again in a part of the tree that was
asked about before. Prints, judges nothing.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable

from sekisho_audit.tiles import MemoryLevels, Tree

PROOFS = 1_000
NEAR = 10_000  # leaves: the last few minutes of a busy ledger


def cost_us(run: Callable[[], object]) -> float:
    """Microseconds of CPU for each of so many calls."""
    began_s = time.process_time()
    for _ in range(PROOFS):
        run()
    return (time.process_time() - began_s) / PROOFS * 1e6


def main() -> None:
    """Build the tree and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--leaves", type=int, default=10_000_000)
    size = parser.parse_args().leaves
    levels, chance = MemoryLevels(), random.Random(1)  # noqa: S311 - which leaves are asked about
    began_s = time.process_time()
    for number in range(size):
        levels.append(number.to_bytes(32, "big"))
    build_us = (time.process_time() - began_s) / size * 1e6

    def cold() -> object:
        return Tree(levels).inclusion(chance.randrange(size), size)

    tree = Tree(levels)

    def near() -> int:
        return size - 1 - chance.randrange(min(NEAR, size - 1))

    for at in range(1, min(NEAR, size)):
        tree.inclusion(size - at, size)
    print(f"levels            {build_us:6.2f} us a leaf, {size:,} leaves")
    print(f"inclusion, cold   {cost_us(cold):6.1f} us")
    print(f"inclusion, again  {cost_us(lambda: tree.inclusion(near(), size)):6.1f} us")
    print(f"consistency       {cost_us(lambda: tree.consistency(near(), size)):6.1f} us")


if __name__ == "__main__":
    main()
