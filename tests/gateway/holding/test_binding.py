"""A binding fits exactly one hold in one version with exactly its bytes and terms."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from sekisho.holding.binding import bind, commit, is_bound
from sekisho.model.decision import Threshold
from sekisho.model.hold import Hold
from support.holds import Desk

KEY = b"k" * 32
# Told to people or used for waiting, and not part of what an approval allows.
NOT_BOUND = {
    *("groups", "roles", "stream", "reasons", "created_us", "wait_until_us", "binding"),
    *("received_event", "log_level"),
}


def other(value: Any) -> Any:
    """A different value of the same kind."""
    if isinstance(value, tuple):
        return (*value, Threshold("x", 1, 1) if value and isinstance(value[0], Threshold) else "x")
    return value + (b"x" if isinstance(value, bytes) else "x" if isinstance(value, str) else 1)


@pytest.mark.parametrize(
    "name", sorted(field.name for field in fields(Hold) if field.name not in NOT_BOUND)
)
async def test_everything_that_may_be_sent_or_asked_is_bound(desk: Desk, name: str) -> None:
    """Change any bound field, and the binding does not fit any more."""
    hold = bind((await desk.file()).hold, KEY)
    assert is_bound(hold, KEY)
    assert not is_bound(replace(hold, **{name: other(getattr(hold, name))}), KEY)


async def test_a_binding_is_keyed(desk: Desk) -> None:
    """Without the exchange's key nobody can make or guess one."""
    hold = bind((await desk.file()).hold, KEY)
    assert not is_bound(hold, b"x" * 32)
    assert not is_bound(replace(hold, binding=""), KEY)
    assert len(hold.binding) == 64


def test_a_commitment_is_the_ledgers() -> None:
    """HMAC-SHA256 in hex, as the ledger commits to payloads."""
    assert commit(b"\x0b" * 20, b"Hi There").startswith("b0344c61d8db38535ca8afceaf0bf12b")
