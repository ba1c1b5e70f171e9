from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson
import pytest

from sekisho.adapters import offered_models
from sekisho.adapters.offered_models import KEPT_S, LISTED_MAX, RETRY_S, OfferedModels
from sekisho.errors import BackendFailed
from sekisho.model.catalog import Backend, Catalog

CATALOG = Catalog((Backend("open", ("*",), "external"), Backend("named", ("gpt-x",), "external")))


def listing(*names: object) -> bytes:
    return orjson.dumps({"object": "list", "data": [{"id": name} for name in names]})


AB = listing("a", "b")


@dataclass
class World:
    """Backends that say what they are told to, and the time."""

    says: bytes | BackendFailed = AB
    asked: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None
    now_s: float = 0.0

    def __post_init__(self) -> None:
        self.lists = OfferedModels(CATALOG, self.get, monotonic_s=lambda: self.now_s)

    async def get(self, backend: str) -> bytes:
        self.asked.append(backend)
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.says, BackendFailed):
            raise self.says
        return self.says

    async def names(self) -> Sequence[str]:
        heard = await self.lists.names()
        assert set(heard) == {"open"}
        return heard["open"]


async def test_only_backends_with_patterns_are_asked_and_once_a_minute() -> None:
    """A menu that many clients open at once is one question."""
    world = World()
    assert await world.names() == ("a", "b")
    world.says = listing("c")
    world.now_s = KEPT_S - 1
    assert await world.names() == ("a", "b")
    world.now_s = KEPT_S
    assert await world.names() == ("c",)
    assert world.asked == ["open", "open"]


async def test_those_who_ask_at_once_share_one_question() -> None:
    """Also when the first of them leaves."""
    world = World(gate=asyncio.Event())
    waiting = [asyncio.create_task(world.names()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    assert world.gate is not None
    world.gate.set()
    assert await asyncio.gather(*waiting[1:]) == [("a", "b")] * 2
    assert world.asked == ["open"]


@pytest.mark.parametrize(
    "says", [BackendFailed("down"), b"<html>", b"{}", b'{"data":3}', b"", b"[" * 5000]
)
async def test_a_backend_without_a_list_is_left_at_what_it_said(
    says: bytes | BackendFailed,
) -> None:
    """Neither an error nor an empty menu; soon it is asked again."""
    world = World()
    await world.names()
    world.now_s, world.says = KEPT_S, says
    assert await world.names() == ("a", "b")
    world.now_s += RETRY_S - 1
    assert await world.names() == ("a", "b")
    assert len(world.asked) == 2
    world.now_s, world.says = world.now_s + 1, listing("c")
    assert await world.names() == ("c",)


async def test_a_silent_backend_costs_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no second one for whoever comes next."""
    monkeypatch.setattr(offered_models, "LIST_S", 0.05)
    world = World(gate=asyncio.Event())
    async with asyncio.timeout(2):
        assert await world.names() == ()
        assert await world.names() == ()
    assert world.asked == ["open"]


async def test_only_what_a_request_could_name_is_taken() -> None:
    """A backend is trusted with answers, not with our memory or a client's terminal."""
    odd = ("", 3, None, "a b", "\u202ex", "x" * 257, "ok")
    assert await World(says=listing(*odd)).names() == ("ok",)
    assert len(await World(says=listing(*map(str, range(LISTED_MAX + 5)))).names()) == LISTED_MAX
    assert await World(says=b'["x",{"id":"bare"},{}]').names() == ("bare",)
