"""Which models the backends with patterns offer, as they list them themselves (`GET /models`).

Asked for when a client wants the list, at most once a minute; all wait for the same answer and no
longer than a moment. A backend that is down, or has no list, offers what it said last. Nothing of
anybody's request is in the question, so it needs no intent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import structlog

from sekisho.errors import BackendFailed
from sekisho.model.catalog import Catalog
from sekisho.stages.receive import names_a_model

LIST_S = 2.0  # clients show a menu meanwhile
KEPT_S = 60.0  # a new model may wait for a minute
RETRY_S = 10.0  # after no answer, so that not every client waits for a backend that is down
LISTED_MAX = 1000  # names of one backend, as many as its settings may have

Get = Callable[[str], Awaitable[bytes]]
"""The list of a backend as it sends it. Raises BackendFailed."""

_log = structlog.get_logger("sekisho.backends")


@dataclass(slots=True)
class _Heard:
    """What a backend said last, and when it is to be asked again."""

    names: tuple[str, ...] = ()
    again_s: float = float("-inf")
    flight: asyncio.Task[None] | None = None


class OfferedModels:
    """Implements the port ModelLists for the backends of a catalog."""

    def __init__(
        self, catalog: Catalog, get: Get, *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._heard = {backend.id: _Heard() for backend in catalog.backends if backend.patterns}
        self._get = get
        self._monotonic_s = monotonic_s

    async def names(self) -> Mapping[str, Sequence[str]]:
        """See the port."""
        flights = [
            self._flight(backend, heard)
            for backend, heard in self._heard.items()
            if heard.again_s <= self._monotonic_s()
        ]
        if flights:
            await asyncio.wait(flights)  # not cancelled with a client that leaves: others wait too
        return {backend: heard.names for backend, heard in self._heard.items()}

    def _flight(self, backend: str, heard: _Heard) -> asyncio.Task[None]:
        """The question under way, or a new one: never two."""
        if heard.flight is None or heard.flight.done():
            heard.flight = asyncio.create_task(self._ask(backend, heard), name="model-list")
        return heard.flight

    async def _ask(self, backend: str, heard: _Heard) -> None:
        try:
            async with asyncio.timeout(LIST_S):
                heard.names = _names(orjson.loads(await self._get(backend)))
        except (BackendFailed, TimeoutError, ValueError) as error:
            why = str(error) or type(error).__name__
            _log.info("a backend did not list its models", backend=backend, why=why)
            heard.again_s = self._monotonic_s() + RETRY_S
        else:
            heard.again_s = self._monotonic_s() + KEPT_S


def _names(said: Any) -> tuple[str, ...]:
    """The names in a list as OpenAI has it, or in a bare one. Raises BackendFailed for another."""
    listed = said.get("data") if isinstance(said, dict) else said
    if not isinstance(listed, list):
        raise BackendFailed("The answer is no list of models.")
    ids = (one.get("id") for one in listed[:LISTED_MAX] if isinstance(one, dict))
    return tuple(name for name in ids if names_a_model(name))
