"""What an issuer publishes about itself: where people sign in, and the keys its tokens are signed
with.

The document is believed only if it names exactly the configured issuer and nothing in clear text;
keys that are symmetric, private, weak or meant for something else are as if they were not there.
Keys are fetched by one request at a time, again after `keys_refresh_s`, and for an unknown key id
at most every few seconds, so a stranger who makes up ids causes no flood. While the issuer is down
the last ones serve for `keys_stale_s`; then nobody is let in by it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import httpx
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey
from joserfc.util import urlsafe_b64decode

from sekisho.adapters.oidc_http import IssuerSilent, ask, may_be_asked
from sekisho.config.identity import IssuerSettings
from sekisho.errors import DirectoryUnavailable

RETRY_S = 5.0  # between two attempts, whatever asks for them
KEYS_MAX = 64  # an issuer has two to five
KEY_ID_CHARS_MAX = 256
RSA_BITS_MIN = 2048  # RFC 7518 section 3.3
RSA_BITS_MAX = 8192  # larger ones make each check slow
RSA_EXPONENT_BITS_MAX = 32  # as above
DISCOVERY = "/.well-known/openid-configuration"

ALGORITHMS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", "")),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "EdDSA": ("OKP", "Ed25519"),
    "Ed25519": ("OKP", "Ed25519"),  # the name RFC 9864 gives to the same
}
"""The key each algorithm needs, as type and curve. Nothing else is ever tried."""

_PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
_PUBLIC = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}

PublicKey = RSAKey | ECKey | OKPKey
_log = structlog.get_logger("sekisho.oidc")


class UnknownKey(Exception):
    """The issuer has no key of this id, or more than one that would fit."""


class UnfitKey(Exception):
    """The issuer has a key of this id, but not for this algorithm."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One usable key; `algorithm` is the only one it is for, empty for any of its kind."""

    id: str | None
    key: PublicKey
    kind: tuple[str, str]
    algorithm: str
    thumbprint: str

    def fits(self, algorithm: str) -> bool:
        """Whether a signature by `algorithm` can be this key's."""
        return self.kind == ALGORITHMS.get(algorithm) and self.algorithm in {"", algorithm}


@dataclass(frozen=True, slots=True)
class Chosen:
    """The key for one token, with what else was known at that moment: the issuer's own name and
    the generation of its keys.
    """

    key: PublicKey
    issuer: str
    generation: int


@dataclass(frozen=True, slots=True)
class Published:
    """What the issuer said. `issuer` is its name as tokens have it; `names_itself` promises the
    parameter `iss` on the way back from signing in; `secret_in_body`: it wants a client's secret
    there and nowhere else.
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    names_itself: bool
    secret_in_body: bool
    keys: tuple[SigningKey, ...]

    @property
    def mark(self) -> frozenset[tuple[str | None, str, str]]:
        """Differs when the keys do, in whatever order they are listed."""
        return frozenset((key.id, key.thumbprint, key.algorithm) for key in self.keys)


class IssuerKeys:
    """One issuer, as this worker knows it."""

    def __init__(
        self,
        settings: IssuerSettings,
        http: httpx.AsyncClient,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.generation = 0  # grows when the keys change
        self._http = http
        self._monotonic_s = monotonic_s
        self._published: Published | None = None
        self._fetched_s = float("-inf")
        self._tried_s = float("-inf")
        self._failed = False
        self._flight: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """End a fetch that is under way."""
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.gather(self._flight, return_exceptions=True)

    async def published(self) -> Published:
        """What the issuer publishes, fresh enough. Raises DirectoryUnavailable.

        A fetch that is due is waited for once; while the issuer is known to be down it is tried
        again in the background and the old keys serve without delay.
        """
        if self._age_s() > self.settings.keys_refresh_s and self._may_try():
            trying = self._try()
            if not (self._failed and self._usable()):
                await asyncio.shield(trying)
        return self._current()

    async def key(self, key_id: str | None, algorithm: str) -> Chosen:
        """The one key that fits. Raises UnknownKey, UnfitKey or DirectoryUnavailable."""
        await self.published()
        try:
            return self._choose(key_id, algorithm)
        except UnknownKey:
            if not self._may_try():
                raise
        await asyncio.shield(self._try())
        return self._choose(key_id, algorithm)

    def _choose(self, key_id: str | None, algorithm: str) -> Chosen:
        published = self._current()
        key = _choose(published.keys, key_id, algorithm)
        return Chosen(key, published.issuer, self.generation)

    def _age_s(self) -> float:
        return self._monotonic_s() - self._fetched_s

    def _usable(self) -> bool:
        bound_s = max(self.settings.keys_stale_s, self.settings.keys_refresh_s)
        return self._published is not None and self._age_s() <= bound_s

    def _current(self) -> Published:
        if self._published is None or not self._usable():
            raise DirectoryUnavailable(
                f"The sign-in service {self.settings.id} does not answer, so its tokens cannot be "
                "checked. Try again later."
            )
        return self._published

    def _may_try(self) -> bool:
        flying = self._flight is not None and not self._flight.done()
        return flying or self._monotonic_s() - self._tried_s >= RETRY_S

    def _try(self) -> asyncio.Task[None]:
        """The fetch under way, or a new one: never two."""
        if self._flight is None or self._flight.done():
            self._tried_s = self._monotonic_s()
            self._flight = asyncio.create_task(self._fetch_once(), name="issuer-keys")
        return self._flight

    async def _fetch_once(self) -> None:
        began_s = self._monotonic_s()
        try:
            found = await self.fetch()
        except IssuerSilent as error:
            self._failed = True
            _log.warning("issuer not usable", issuer=self.settings.id, why=str(error))
            return
        if self._published is None or found.mark != self._published.mark:
            self.generation += 1
        self._published, self._fetched_s, self._failed = found, began_s, False

    async def fetch(self) -> Published:
        """What the issuer publishes now, kept nowhere. Raises IssuerSilent."""
        said = await self._get(self.settings.url + DISCOVERY)
        issuer = said.get("issuer")
        # The setting has no slash at its end, some issuers do; both have this one document.
        if not isinstance(issuer, str) or issuer.removesuffix("/") != self.settings.url:
            raise IssuerSilent("the discovery document is of another issuer")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            good = may_be_asked(said.get(name), by=self.settings.url)
            if not good and (name in said or name == "jwks_uri"):
                raise IssuerSilent(f"{name} is missing or not an https address")
        keys = read_keys(await self._get(said["jwks_uri"]))
        methods = said.get("token_endpoint_auth_methods_supported")
        return Published(
            issuer=issuer,
            authorization_endpoint=said.get("authorization_endpoint", ""),
            token_endpoint=said.get("token_endpoint", ""),
            names_itself=said.get("authorization_response_iss_parameter_supported") is True,
            secret_in_body=isinstance(methods, list)
            and "client_secret_basic" not in methods
            and "client_secret_post" in methods,
            keys=keys,
        )

    async def _get(self, url: str) -> dict[str, Any]:
        status, said = await ask(self._http, url)
        if status != httpx.codes.OK or not isinstance(said, dict):
            raise IssuerSilent(f"status {status}, or not a JSON object")
        return said


def _choose(keys: tuple[SigningKey, ...], key_id: str | None, algorithm: str) -> PublicKey:
    """Without an id only if one key can be meant. Two keys of one id and kind are no answer."""
    named = [key for key in keys if key_id is None or key.id == key_id]
    fitting = [key for key in named if key.fits(algorithm)]
    if len(fitting) == 1:
        return fitting[0].key
    if key_id is not None and named and not fitting:
        raise UnfitKey
    raise UnknownKey


def read_keys(said: Mapping[str, Any]) -> tuple[SigningKey, ...]:
    """The usable keys of a JWK Set; others are left out, as RFC 7517 section 5 asks.

    An empty set is an answer too: the issuer took all its keys back.
    """
    listed = said.get("keys")
    if not isinstance(listed, list) or len(listed) > KEYS_MAX:
        raise IssuerSilent(f"the key set is no list of at most {KEYS_MAX} keys")
    read = (_read_key(entry) for entry in listed if isinstance(entry, dict))
    return tuple(key for key in read if key is not None)


def _read_key(entry: dict[str, Any]) -> SigningKey | None:
    kind, key_id = entry.get("kty"), entry.get("kid")
    operations = entry.get("key_ops", ["verify"])
    if (
        not isinstance(kind, str)
        or kind not in _PUBLIC
        or _PRIVATE & entry.keys()
        or entry.get("use", "sig") != "sig"
        or not isinstance(operations, list)
        or "verify" not in operations
        or not (key_id is None or (isinstance(key_id, str) and len(key_id) <= KEY_ID_CHARS_MAX))
    ):
        return None
    algorithm = entry.get("alg", "")
    members = {name: entry.get(name) for name in _PUBLIC[kind]}
    if not isinstance(algorithm, str) or not all(isinstance(v, str) for v in members.values()):
        return None
    curve = str(members.get("crv", ""))
    if (kind, curve) not in ALGORITHMS.values():
        return None
    plain = cast("dict[str, str | list[str]]", {"kty": kind, **members})
    try:
        if kind == "RSA" and not _is_strong(str(members["n"]), str(members["e"])):
            return None
        key = JWKRegistry.import_key(plain)
        thumbprint = key.thumbprint()
    except (JoseError, ValueError, TypeError):
        return None
    if not isinstance(key, RSAKey | ECKey | OKPKey):
        return None
    return SigningKey(key_id, key, (kind, curve), algorithm, thumbprint)


def _is_strong(modulus: str, exponent: str) -> bool:
    """Whether an RSA key is neither weak nor a burden. Looked at before it is imported."""
    if max(len(modulus), len(exponent)) > RSA_BITS_MAX:
        return False
    bits, exponent_bits = (
        int.from_bytes(urlsafe_b64decode(text.encode())).bit_length()
        for text in (modulus, exponent)
    )
    return RSA_BITS_MIN <= bits <= RSA_BITS_MAX and exponent_bits <= RSA_EXPONENT_BITS_MAX
