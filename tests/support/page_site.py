"""Pages as browsers ask for them: somebody's cookie, and forms as our own pages send them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import httpx
from fastapi import APIRouter, FastAPI

from sekisho.errors import NotAuthenticated
from sekisho.model.principal import Principal, Shown
from sekisho.ports import Log, Searches
from sekisho.web.services import Services
from support.entrances import entrance
from support.holds import Desk

OURS = {"sec-fetch-site": "same-origin"}


class Sessions:
    """Satisfies the part of Directory that is used: people by the cookie of their browser."""

    def __init__(self, people: Mapping[str, Principal]) -> None:
        self._people = people

    async def find(self, shown: Shown) -> Principal:
        """Whose session it is. Raises NotAuthenticated."""
        found = self._people.get(shown.session)
        if found is None:
            raise NotAuthenticated("That is not known here.", cause="missing")
        return found

    async def may_ask(self, principal: str) -> bool:
        """Everybody may."""
        return True


class Browser:
    """Looks at pages and sends their forms, as somebody."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def get(self, who: str, path: str, **headers: str) -> httpx.Response:
        """A page."""
        return await self._http.get(path, headers={**_cookie(who), **headers})

    async def post(
        self, who: str, path: str, headers: Mapping[str, str] = OURS, **fields: str
    ) -> httpx.Response:
        """What answers a form."""
        return await self._http.post(path, headers={**_cookie(who), **headers}, data=fields)


@asynccontextmanager
async def http_of(
    router: APIRouter, desk: Desk, people: Mapping[str, Principal], below: str = "", **parts: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """These pages over the parts of a desk, at a gateway that stands `below` a path of its proxy;
    nothing reads the log or searches.
    """
    app = FastAPI()
    app.include_router(router)
    app.state.sign_in = SimpleNamespace(public_url=f"http://gateway{below}", language="en")
    app.state.services = Services(
        *(desk.store, desk.ledger, cast("Log", None), cast("Searches", None)),
        *(Sessions(people), entrance(desk.ledger), desk.limits),
        **parts,
    )
    transport = httpx.ASGITransport(app, root_path=below)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        yield http


def _cookie(who: str) -> dict[str, str]:
    return {"cookie": f"sekisho={who}"} if who else {}
