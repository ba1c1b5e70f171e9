"""One router of ours over the parts of a desk, and everybody's key: for tests of routes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
from fastapi import APIRouter, FastAPI

from sekisho.model.principal import Principal
from sekisho.ports import Log, Searches
from sekisho.web.services import Services
from support.entrances import StaticDirectory, entrance
from support.holds import Desk


class KeySite:
    """Asks under one path, as whoever the key is of."""

    def __init__(self, client: httpx.AsyncClient, path: str) -> None:
        self.client, self._path = client, path

    async def ask(self, who: str, method: str, path: str = "", **more: Any) -> tuple[int, Any]:
        """Status and what was answered."""
        headers = {"authorization": f"Bearer {who}"}
        answer = await self.client.request(method, self._path + path, headers=headers, **more)
        return answer.status_code, answer.json()


def app_of(router: APIRouter, desk: Desk, people: Mapping[str, Principal], **parts: Any) -> FastAPI:
    """The router with these parts; nothing reads the log or searches."""
    app = FastAPI()
    app.include_router(router)
    app.state.services = Services(
        *(desk.store, desk.ledger, cast("Log", None), cast("Searches", None)),
        *(StaticDirectory(people), entrance(desk.ledger), desk.limits),
        **parts,
    )
    return app


@asynccontextmanager
async def client_of(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who asks it."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gate") as client:
        yield client
