"""The way in, the same for the data path and for every route of FastAPI.

What the request shows is read, whoever it means is found, and a refusal is recorded before it is
told. Nobody gets past without a principal.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Mapping
from typing import Any

from sekisho.errors import Forbidden, NotAuthenticated
from sekisho.model.principal import Principal, Shown
from sekisho.web.credentials import Reader
from sekisho.web.refusals import Refusals

CROSS_SITE = "cross_site"
Find = Callable[[Shown], Awaitable[Principal]]


class Entrance:
    """Reader and Refusals put together."""

    def __init__(self, reader: Reader, refusals: Refusals) -> None:
        self._reader = reader
        self._refusals = refusals

    async def enter(
        self,
        scope: Mapping[str, Any],
        where: str,
        find: Find,
        no_attempts: Container[str] = (),
    ) -> tuple[Principal, Shown]:
        """The principal that `find` knows behind this request, and what it showed.

        `where` is a fixed word of ours for the record. A refusal whose cause is one of
        `no_attempts` is not recorded. Raises NotAuthenticated, TooManyFailures, Forbidden
        (`cross_site`), and what `find` raises.
        """
        shown: Shown | None = None
        try:
            shown = self._reader.shown(scope)
            return await find(shown), shown
        except Forbidden as error:
            # A page of another site used somebody's sign-in, or a credential was tried where it is
            # not good for anything.
            cause = CROSS_SITE if shown is None else error.code
            self._refusals.noticed(Shown(ip=self._reader.address(scope)), where, cause)
            raise
        except NotAuthenticated as error:
            if error.cause in no_attempts:
                raise
            met = shown or Shown(ip=self._reader.address(scope))
            answer = await self._refusals.refused(met, error, where)
            if answer is error:
                raise
            raise answer from error
