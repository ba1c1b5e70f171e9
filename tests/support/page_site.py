"""Pages as browsers ask for them: somebody's cookie, and forms as our own pages send them."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from sekisho.errors import NotAuthenticated
from sekisho.model.principal import Principal, Shown

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


def _cookie(who: str) -> dict[str, str]:
    return {"cookie": f"sekisho={who}"} if who else {}
