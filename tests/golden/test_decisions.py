"""The shipped rules' answers over a grid of requests, line by line."""

from __future__ import annotations

from support.decision_table import GOLDEN, table


async def test_decisions() -> None:
    """Who asks what about which model gives this effect with these codes, and nothing else."""
    assert GOLDEN.read_text("utf-8") == await table()
