"""An OpenID Connect issuer on loopback that signs whatever a test asks for, and fails on request.

It is for what no honest server does: wrong claims, odd key sets, silence. The honest servers are in
`support/oidc_servers.py`.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import parse_qs

import orjson
from aiohttp import web
from joserfc import jws
from joserfc.jwk import ECKey, Key, KeySet, KeySetSerialization, OKPKey, RSAKey

from sekisho.config.identity import IssuerSettings

AUDIENCE = "https://gateway.example"
CLIENT = "sekisho-test"
DISCOVERY = "/.well-known/openid-configuration"


def rsa_key(key_id: str) -> RSAKey:
    """A private key as an issuer has it."""
    return RSAKey.generate_key(2048, cast("Any", {"kid": key_id}))


def ec_key(key_id: str) -> ECKey:
    return ECKey.generate_key("P-256", cast("Any", {"kid": key_id}))


def okp_key(key_id: str) -> OKPKey:
    return OKPKey.generate_key("Ed25519", cast("Any", {"kid": key_id}))


def sign(header: dict[str, Any], claims: Any, key: Key) -> str:
    """A signed token with exactly this header and these claims, however wrong."""
    registry = jws.JWSRegistry(algorithms=[header["alg"]], strict_check_header=False)
    registry.max_header_length = registry.max_payload_length = 10**6
    payload = claims if isinstance(claims, bytes) else orjson.dumps(claims)
    return jws.serialize_compact(header, payload, key, registry=registry)


@dataclass
class LoopbackIssuer:
    """Use as an async context manager. `asked` counts requests by path."""

    keys: list[Key] = field(default_factory=list)
    said: dict[str, Any] = field(default_factory=dict)  # overrides members of the discovery
    key_set: Any = None  # overrides the key set
    faults: dict[str, web.StreamResponse] = field(default_factory=dict)  # by path
    tokens: dict[str, Any] = field(default_factory=dict)  # what the token endpoint answers
    token_status: int = 200
    asked: Counter[str] = field(default_factory=Counter)
    forms: list[tuple[dict[str, str], dict[str, str]]] = field(default_factory=list)
    cookies: list[str] = field(default_factory=list)
    down: bool = False
    url: str = ""
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        if not self.keys:
            self.keys = [rsa_key("rsa-1")]
        app = web.Application()
        app.router.add_get(DISCOVERY, self._discovery)
        app.router.add_get("/jwks", self._jwks)
        app.router.add_post("/token", self._token)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def settings(self, **more: Any) -> IssuerSettings:
        """Settings that name this issuer."""
        wanted = {"id": "corp", "url": self.url, "audience": AUDIENCE, "client_id": CLIENT, **more}
        return IssuerSettings.model_validate(wanted)

    def claims(self, **more: Any) -> dict[str, Any]:
        """Those of a good access token; a claim given as None is left out."""
        now = int(time.time())
        whole = {
            "iss": self.url,
            "sub": "7f3a",
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + 300,
            "groups": ["finance"],
            **more,
        }
        return {name: value for name, value in whole.items() if value is not None}

    def token(
        self, key: Key | None = None, header: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        """A good access token, but for what is given."""
        key = key or self.keys[0]
        algorithm = {"RSA": "RS256", "EC": "ES256", "OKP": "Ed25519"}[key.key_type]
        whole = {"alg": algorithm, "typ": "at+jwt", "kid": key.kid, **(header or {})}
        whole = {name: value for name, value in whole.items() if value is not None}
        return sign(whole, self.claims(**claims), key)

    def id_token(self, nonce: str, /, **claims: Any) -> str:
        """A good ID token, but for what is given."""
        return self.token(header={"typ": "JWT"}, **{"aud": CLIENT, "nonce": nonce, **claims})

    def public(self) -> KeySetSerialization:
        """The key set as it is published."""
        return KeySet(list(self.keys)).as_dict()

    async def _discovery(self, request: web.Request) -> web.StreamResponse:
        said = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            **self.said,
        }
        kept = {name: value for name, value in said.items() if value is not None}
        return self._answer(request, kept)

    async def _jwks(self, request: web.Request) -> web.StreamResponse:
        return self._answer(request, self.public() if self.key_set is None else self.key_set)

    async def _token(self, request: web.Request) -> web.StreamResponse:
        form = parse_qs((await request.read()).decode(), keep_blank_values=True)
        head = {name.lower(): value for name, value in request.headers.items()}
        self.forms.append(({name: values[0] for name, values in form.items()}, head))
        return self._answer(request, self.tokens, self.token_status)

    def _answer(self, request: web.Request, body: Any, status: int = 200) -> web.StreamResponse:
        self.asked[request.path] += 1
        self.cookies.extend(request.headers.getall("cookie", []))
        if self.down:
            return web.Response(status=503, text="{}")
        if request.path in self.faults:
            return self.faults.pop(request.path)
        return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")
