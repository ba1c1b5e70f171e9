"""The way in as a worker has it, around real issuers: registry, directory, sessions, sign-in.

The ledger is in memory unless a test brings a real one. `Browser` is a person at a keyboard: it
keeps cookies, follows links to the gateway and the issuers, and fills in their forms.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

import httpx
from fastapi import FastAPI

from sekisho.adapters.api_keys import key_id
from sekisho.adapters.credentials import Credentials
from sekisho.adapters.identity_desk import IdentityDesk, Mapped, worker_evidence
from sekisho.adapters.oidc_http import open_client
from sekisho.adapters.oidc_keys import IssuerKeys
from sekisho.adapters.oidc_login import OidcLogin
from sekisho.adapters.oidc_tokens import TokenVerifier
from sekisho.adapters.redis_holds import connect
from sekisho.adapters.redis_sessions import RedisLogins, RedisSessions
from sekisho.adapters.sql_directory import SqlDirectory
from sekisho.adapters.sql_registry import Registry
from sekisho.config import IdentitySettings
from sekisho.config.identity import IssuerSettings
from sekisho.model.hold import HoldLimits
from sekisho.model.identity import Identity
from sekisho.model.principal import Authentication, Principal
from sekisho.ports import Ledger
from sekisho.web import sign_in
from sekisho.web.credentials import Reader
from sekisho.web.entrance import Entrance
from sekisho.web.refusals import Refusals
from sekisho.web.services import Services
from support.memory_ledger import MemoryLedger

HERE = "https://gateway.example"
PEPPER = b"p" * 32
STEPS_MAX = 20  # of a sign-in; an issuer that leads around in circles is a failure


@dataclass
class Browser:
    """One person's browser."""

    http: httpx.AsyncClient

    async def sign_in(self, issuer: str, who: str, return_to: str = "/login") -> httpx.Response:
        """The whole way: the gateway's answer to the way back."""
        return await self.open(await self.to_callback(issuer, who, return_to))

    async def to_callback(self, issuer: str, who: str, return_to: str = "/login") -> str:
        """To the issuer and through its forms: the address it sends the browser back to."""
        sent = await self.open(f"/login/{issuer}?return_to={return_to}")
        return await self.at_issuer(sent.headers["location"], who)

    async def at_issuer(self, url: str, who: str, **form: str) -> str:
        """Through the issuer's forms, until it sends the browser to the gateway."""
        answer = await self.open(url)
        for _ in range(STEPS_MAX):
            if answer.is_redirect:
                url = urljoin(url, answer.headers["location"])
                if url.startswith(HERE):
                    return url
                answer = await self.open(url)
            else:
                url, fields = _form(answer)
                known = {"login": who, "password": "any", "sub": who}
                fields.update({name: known.get(name, text) for name, text in fields.items()})
                answer = await self.http.post(url, data={**fields, **form})
        raise AssertionError(f"the issuer never sent the browser back: {answer.status_code}")

    async def open(self, url: str) -> httpx.Response:
        return await self.http.get(urljoin(HERE, url))

    async def me(self) -> dict[str, Any]:
        return cast("dict[str, Any]", (await self.open("/v1/me")).json())


def _form(page: httpx.Response) -> tuple[str, dict[str, str]]:
    """Where the first form of a page goes, and its fields."""
    found = re.search(r"<form\b([^>]*)>(.*?)</form>", page.text, re.DOTALL)
    if found is None:
        raise AssertionError(f"no form: {page.status_code} {page.text[:300]}")
    action = re.search(r'action="([^"]*)"', found[1])
    fields = {}
    for tag in re.findall(r"<input\b[^>]*>", found[2], re.DOTALL):
        name, value = (re.search(rf'{part}="([^"]*)"', tag) for part in ("name", "value"))
        if name is not None:
            fields[name[1]] = unescape(value[1]) if value is not None else ""
    return urljoin(str(page.url), unescape(action[1]) if action else ""), fields


@dataclass
class OidcSite:
    """A gateway's way in with its ledger, and time that a test moves."""

    app: FastAPI
    ledger: MemoryLedger
    registry: Registry
    sessions: RedisSessions
    verifier: TokenVerifier
    ahead_s: float = 0
    browsers: list[httpx.AsyncClient] = field(default_factory=list)

    def browser(self) -> Browser:
        """A new one, without cookies."""
        gate = httpx.ASGITransport(app=self.app, client=("192.0.2.7", 5))
        http = httpx.AsyncClient(mounts={HERE: gate}, trust_env=False, timeout=20)
        self.browsers.append(http)
        return Browser(http)

    async def ask(self, token: str) -> httpx.Response:
        """Who am I, by a bearer token?"""
        http = self.browser().http
        return await http.get(f"{HERE}/v1/me", headers={"authorization": f"Bearer {token}"})

    def refusals(self) -> list[tuple[str, str]]:
        """What was refused so far: cause and credential."""
        return [
            (event.data["cause"], event.data.get("credential", ""))
            for event in self.ledger.events
            if event.type == "credential.refused"
        ]

    def types(self) -> list[str]:
        return [event.type for event in self.ledger.events]


@asynccontextmanager
async def oidc_site(
    folder: Path,
    redis_url: str,
    issuers: Sequence[IssuerSettings],
    secrets: dict[str, str],
    real: Ledger | None = None,
) -> AsyncIterator[OidcSite]:
    """A site at `HERE` that accepts these issuers. Its ledger is in memory, or `real`."""
    memory, reader = MemoryLedger(), Reader(IdentitySettings(), HERE)
    ledger: Ledger = real or memory
    registry = Registry.open(folder / "registry.sqlite")
    client = connect(redis_url)
    sessions = RedisSessions(client, PEPPER, ttl_s=3600, idle_s=600)
    async with open_client() as http, SqlDirectory(folder / "registry.sqlite", PEPPER) as people:
        site = OidcSite(FastAPI(), memory, registry, sessions, TokenVerifier({}))
        keys = {
            one.id: IssuerKeys(one, http, monotonic_s=lambda: time.monotonic() + site.ahead_s)
            for one in issuers
        }
        site.verifier = TokenVerifier(keys, now_us=lambda: int((time.time() + site.ahead_s) * 1e6))
        mapped = {one.id: Mapped(one.provision, one.groups, one.roles) for one in issuers}
        evidence = worker_evidence(ledger, asyncio.get_running_loop())
        desk = IdentityDesk(people, registry, evidence, mapped)

        async def principal_for(identity: Identity) -> Principal:
            return await desk.principal_for(identity, Authentication.OIDC)

        directory = Credentials(
            *(people, desk, site.verifier, sessions), asserts_tokens=False, now_us=lambda: 0
        )
        refusals = Refusals(ledger, 1000, lambda _: None, key_id=key_id, counted=lambda _: None)
        site.app.state.services = Services(
            cast("Any", None),
            ledger,
            cast("Any", None),
            cast("Any", None),
            directory,
            Entrance(reader, refusals),
            HoldLimits(),
        )
        site.app.state.sign_in = sign_in.SignIn(
            directory=directory,
            ledger=ledger,
            sessions=sessions,
            login=OidcLogin(
                *(keys, site.verifier, RedisLogins(client, PEPPER), http),
                public_url=HERE,
                client_secrets=secrets,
            ),
            refusals=refusals,
            principal_for=principal_for,
            address=reader.address,
            public_url=HERE,
        )
        site.app.include_router(sign_in.router)
        site.app.include_router(sign_in.me_router)
        yield site
        for one in keys.values():
            await one.close()
        for browser in site.browsers:
            await browser.aclose()
    await client.aclose()


def query_of(url: str) -> dict[str, str]:
    """The query of an address."""
    return dict(httpx.QueryParams(urlsplit(url).query))
