"""The SCIM endpoint on a real uvicorn, with the real directory, in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from types import TracebackType
from typing import Any, Self

import httpx
import uvicorn
from fastapi import FastAPI

from sekisho.adapters import registry_keys
from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.adapters.identity_desk import worker_evidence
from sekisho.adapters.registry_keys import KeyTerms
from sekisho.adapters.scim_people import Table, provider
from sekisho.adapters.scim_storage import ScimRegistry
from sekisho.adapters.sql_directory import SqlDirectory
from sekisho.config.identity import IdentitySettings
from sekisho.model.principal import Principal, Shown
from sekisho.web.credentials import Reader
from sekisho.web.entrance import Entrance
from sekisho.web.refusals import Refusals
from sekisho.web.scim import PREFIX, ScimEndpoint, ScimLimits
from support.scim import CLIENT, OWNER, Scim

PEPPER = b"p" * 32
WAIT_S = 20


class ScimServer:
    """Serves `scim` until it is left. `key` opens it; keys made later are known within a second.

    With `auditd_socket` the evidence goes to a real auditd instead of the ledger in memory.
    """

    def __init__(
        self, scim: Scim, limits: ScimLimits | None = None, *, auditd_socket: str = ""
    ) -> None:
        self.scim = scim
        self._auditd_socket = auditd_socket
        self._limits = limits
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._server: uvicorn.Server | None = None
        self.key = self.key_for(CLIENT.id, "scim")
        self.other_keys = (self.key_for(OWNER), self.key_for(OWNER, "admin", "self"))

    @property
    def url(self) -> str:
        """The base URL as a directory is given it."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}{PREFIX}"

    def key_for(self, principal: str, *scopes: str) -> str:
        """A key with these scopes; without any, the ones that keys have by themselves."""
        with self.scim.registry.change() as change:
            terms = KeyTerms(scopes=scopes or None)
            return registry_keys.create(change, principal, PEPPER, terms).plaintext

    def client(self, key: str | None = None) -> httpx.Client:
        """A client that shows a key."""
        return httpx.Client(
            base_url=self.url,
            headers={} if key == "" else {"authorization": f"Bearer {key or self.key}"},
            timeout=WAIT_S,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(WAIT_S):
            raise RuntimeError("the server did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(WAIT_S)
        self._socket.close()

    async def _serve(self) -> None:
        if not self._auditd_socket:
            await self._serve_with(self.scim.ledger)
            return
        auditd = AuditdLedger(self._auditd_socket)
        await auditd.start()
        try:
            await self._serve_with(auditd)
        finally:
            await auditd.close()

    async def _serve_with(self, ledger: Any) -> None:
        directory = SqlDirectory(self.scim.folder / "registry.db", PEPPER)

        async def find(shown: Shown) -> Principal:
            return directory.by_key(shown.secret)

        public_url = self.url.removesuffix(PREFIX)
        refusals = Refusals(
            ledger, 20, lambda _: None, key_id=lambda _: None, counted=lambda _: None
        )
        kept = ScimRegistry(
            self.scim.registry,
            worker_evidence(ledger, asyncio.get_running_loop()),
            Table.of(self.scim.settings),
        )
        endpoint = ScimEndpoint(
            Entrance(Reader(IdentitySettings(), public_url), refusals),
            find,
            provider(),
            kept.of,
            public_url=public_url,
            limits=self._limits,
        )
        app: Any = FastAPI()
        app.mount(PREFIX, endpoint)
        config = uvicorn.Config(app, lifespan="off", log_config=None, server_header=False)
        async with directory:
            self._server = uvicorn.Server(config)
            self._ready.set()
            await self._server.serve(sockets=[self._socket])
