"""Everything that says who asks: keys, issuers, sessions, SCIM, and how refusals are recorded."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

import httpx
from redis.asyncio import Redis

from sekisho.adapters.api_keys import key_id
from sekisho.adapters.credentials import Credentials
from sekisho.adapters.identity_desk import IdentityDesk, Mapped, worker_evidence
from sekisho.adapters.key_desk import Evidence
from sekisho.adapters.oidc_http import open_client
from sekisho.adapters.oidc_keys import IssuerKeys
from sekisho.adapters.oidc_login import OidcLogin
from sekisho.adapters.oidc_tokens import TokenVerifier
from sekisho.adapters.redis_holds import connect
from sekisho.adapters.redis_sessions import RedisLogins, RedisSessions
from sekisho.adapters.scim_people import Table, provider
from sekisho.adapters.scim_storage import ScimRegistry
from sekisho.adapters.sql_directory import SqlDirectory
from sekisho.adapters.sql_registry import Registry
from sekisho.config import Settings
from sekisho.model.identity import Identity
from sekisho.model.principal import Authentication, Principal
from sekisho.ports import Clock, Ledger
from sekisho.telemetry import Metrics
from sekisho.unsettled import Unsettled
from sekisho.web.credentials import Reader
from sekisho.web.entrance import Entrance
from sekisho.web.refusals import Refusals
from sekisho.web.scim import ScimEndpoint
from sekisho.web.sign_in import SignIn


@dataclass
class People:
    """The directory with all its ways in; `close` lets go of what they opened."""

    keys: SqlDirectory
    directory: Credentials
    entrance: Entrance
    refusals: Refusals
    sign_in: SignIn
    scim: ScimEndpoint
    issuers: tuple[IssuerKeys, ...]
    http: httpx.AsyncClient
    redis: Redis

    async def close(self) -> None:
        """Let go of the registry, the issuers and the sessions."""
        await self.keys.close()
        for issuer in self.issuers:
            await issuer.close()
        await self.http.aclose()
        await self.redis.aclose()


def build_people(
    settings: Settings,
    pepper: bytes,
    ledger: Ledger,
    clock: Clock,
    *,
    metrics: Metrics,
    unsettled: Unsettled,
) -> People:
    """Put them together; to be called in the worker's loop."""
    keys = SqlDirectory(settings.registry_path, pepper)
    registry = Registry.look(settings.registry_path)
    evidence = worker_evidence(ledger, asyncio.get_running_loop())
    issuers = {
        issuer.id: Mapped(issuer.provision, issuer.groups, issuer.roles)
        for issuer in settings.issuers
    }
    desk = IdentityDesk(keys, registry, evidence, issuers)
    http, redis = open_client(), connect(settings.redis_url)
    published = {issuer.id: IssuerKeys(issuer, http) for issuer in settings.issuers}
    verifier = TokenVerifier(published)
    identity = settings.identity
    sessions = RedisSessions(
        redis, pepper, ttl_s=identity.session_ttl_s, idle_s=identity.session_idle_s
    )
    directory = Credentials(
        keys,
        desk,
        verifier if published else None,
        sessions,
        asserts_tokens=identity.assertion_header is not None,
        now_us=clock.now_us,
    )
    refusals = Refusals(
        ledger,
        identity.failures_per_min,
        unsettled.add,
        key_id=key_id,
        counted=metrics.credential_refused,
    )
    reader = Reader(identity, settings.public_url, refusals.noticed)
    entrance = Entrance(reader, refusals)

    async def principal_for(found: Identity) -> Principal:
        return await desk.principal_for(found, Authentication.OIDC)

    login = OidcLogin(
        published,
        verifier,
        RedisLogins(redis, pepper),
        http,
        public_url=settings.public_url,
        client_secrets=client_secrets(settings),
    )
    sign_in = SignIn(
        directory=directory,
        ledger=ledger,
        sessions=sessions,
        login=login,
        refusals=refusals,
        principal_for=principal_for,
        address=reader.address,
        public_url=settings.public_url,
        language=settings.policy.language,
    )
    scim = _scim(settings, registry, evidence, entrance, directory)
    issuer_keys = tuple(published.values())
    return People(keys, directory, entrance, refusals, sign_in, scim, issuer_keys, http, redis)


def _scim(
    settings: Settings,
    registry: Registry,
    evidence: Evidence,
    entrance: Entrance,
    directory: Credentials,
) -> ScimEndpoint:
    kept = ScimRegistry(registry, evidence, Table.of(settings.scim))
    return ScimEndpoint(
        entrance, directory.find, provider(), kept.of, public_url=settings.public_url
    )


def client_secrets(settings: Settings) -> dict[str, str]:
    """The secrets of those issuers that want one; they come from the environment and stay here."""
    return {
        issuer.id: os.environ.get(issuer.client_secret_env, "")
        for issuer in settings.issuers
        if issuer.client_secret_env
    }
