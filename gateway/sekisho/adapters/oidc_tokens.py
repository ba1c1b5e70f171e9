"""Signed tokens of configured issuers, checked before anything in them is believed.

The claim `iss` only chooses which configured issuer's rules and keys apply; algorithm, key,
signature and every claim are then checked against those. The algorithm is one of the issuer's list,
and a key only ever serves the algorithms of its own kind, so neither `none` nor a public key used
as a secret can pass. Headers that must be understood (`crit`) are never understood here.

A token that was good is remembered by its digest for a minute at most, and forgotten with the keys
it was checked against; what is remembered costs some microseconds.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.util import urlsafe_b64decode

from sekisho.adapters.oidc_claims import (
    Unacceptable,
    check_access,
    check_id_token,
    expires_us,
    read_identity,
)
from sekisho.adapters.oidc_keys import Chosen, IssuerKeys, UnfitKey, UnknownKey
from sekisho.content.strict_json import NotStrictJSON, parse
from sekisho.errors import NotAuthenticated
from sekisho.model.identity import Identity

TOKEN_CHARS_MAX = 16_384  # what fits into the head of a request
HEADER_CHARS_MAX = 4_096
KEPT_MAX = 10_000  # good tokens remembered by a worker, some 10 MB
KEPT_US = 60 * 1_000_000
PARTS = 3  # header, claims, signature; five would be an encrypted token
DEPTH_MAX = 16

_MESSAGE = (
    "This token is not accepted: it is not from a configured issuer, not for this gateway, an ID "
    "token, was changed, or has expired. Get a new access token where you sign in."
)


class _Registry(jws.JWSRegistry):
    """Exactly the algorithms it is given, without an opinion on which are recommended."""

    max_header_length = HEADER_CHARS_MAX
    max_payload_length = TOKEN_CHARS_MAX

    def get_alg(self, name: str) -> JWSAlgModel:
        if not self.allowed or name not in self.allowed or name not in self.algorithms:
            raise UnsupportedAlgorithmError
        return self.algorithms[name]


@dataclass(frozen=True, slots=True)
class _Kept:
    identity: Identity
    until_us: int
    keys: IssuerKeys
    generation: int


@dataclass(frozen=True, slots=True)
class _Opened:
    """A token with a good signature by the chosen key."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    keys: IssuerKeys
    chosen: Chosen


class TokenVerifier:
    """Verifies the tokens of all configured issuers, for one worker."""

    def __init__(
        self,
        issuers: Mapping[str, IssuerKeys],
        *,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
        kept_max: int = KEPT_MAX,
    ) -> None:
        """`issuers` by our name for them."""
        self._issuers = issuers
        self._by_url = {keys.settings.url: keys for keys in issuers.values()}
        self._registries = {
            name: _Registry(algorithms=_names(keys.settings.algorithms), strict_check_header=False)
            for name, keys in issuers.items()
        }
        self._now_us = now_us
        self._kept_max = kept_max
        self._kept: dict[bytes, _Kept] = {}

    async def verify(self, token: str) -> Identity:
        """Who an access token speaks for. Raises NotAuthenticated or DirectoryUnavailable."""
        if len(token) > TOKEN_CHARS_MAX or not token.isascii():
            raise _refused("malformed")
        digest = hashlib.sha256(token.encode()).digest()
        now_us = self._now_us()
        kept = self._kept.get(digest)
        if kept is not None:
            if now_us < kept.until_us and kept.generation == kept.keys.generation:
                return kept.identity
            del self._kept[digest]
        opened = await self._open(token, None)
        settings = opened.keys.settings
        try:
            check_access(opened.header, opened.claims, settings, opened.chosen.issuer, now_us)
            identity = read_identity(opened.claims, settings)
        except Unacceptable as error:
            raise _refused(error.cause, settings.id) from None
        self._keep(digest, opened, identity, now_us)
        return identity

    async def verify_id_token(
        self, issuer: str, token: str, *, nonce: str, access_token: str
    ) -> Identity:
        """Who signed in at `issuer`, told by its token endpoint. Raises as `verify` does."""
        if len(token) > TOKEN_CHARS_MAX or not token.isascii():
            raise _refused("malformed", issuer)
        opened = await self._open(token, self._issuers[issuer])
        settings = opened.keys.settings
        try:
            check_id_token(
                opened.header,
                opened.claims,
                settings,
                opened.chosen.issuer,
                self._now_us(),
                nonce=nonce,
                access_token=access_token,
            )
            return read_identity(opened.claims, settings)
        except Unacceptable as error:
            raise _refused(error.cause, issuer) from None

    async def _open(self, token: str, wanted: IssuerKeys | None) -> _Opened:
        """Check the signature with the issuer's key; `wanted` None takes the issuer it names."""
        header, claims = _peek(token)
        named = claims.get("iss")
        keys = self._by_url.get(named.removesuffix("/")) if isinstance(named, str) else None
        if keys is None or (wanted is not None and keys is not wanted):
            raise _refused("wrong_issuer", wanted.settings.id if wanted else "")
        issuer = keys.settings.id
        registry = self._registries[issuer]
        algorithm, key_id = header.get("alg"), header.get("kid")
        if "crit" in header or "b64" in header:
            raise _refused("crit", issuer)
        if not isinstance(algorithm, str) or algorithm not in (registry.allowed or ()):
            raise _refused("bad_algorithm", issuer)
        if not (key_id is None or isinstance(key_id, str)):
            raise _refused("malformed", issuer)
        try:
            chosen = await keys.key(key_id, algorithm)
            jws.deserialize_compact(token, chosen.key, registry=registry)
        except UnknownKey:
            raise _refused("unknown_signing_key", issuer) from None
        except (UnfitKey, UnsupportedAlgorithmError):
            raise _refused("bad_algorithm", issuer) from None
        except (JoseError, ValueError, TypeError):
            raise _refused("bad_signature", issuer) from None
        return _Opened(header, claims, keys, chosen)

    def _keep(self, digest: bytes, opened: _Opened, identity: Identity, now_us: int) -> None:
        while len(self._kept) >= self._kept_max:
            del self._kept[next(iter(self._kept))]  # the oldest
        until_us = min(expires_us(opened.claims), now_us + KEPT_US)
        self._kept[digest] = _Kept(identity, until_us, opened.keys, opened.chosen.generation)


def _names(algorithms: tuple[str, ...]) -> tuple[str, ...]:
    """The list, with both names that EdDSA over Ed25519 goes by."""
    return (*algorithms, "Ed25519") if "EdDSA" in algorithms else algorithms


def _peek(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims as they stand in the token; nothing is checked yet but their form."""
    parts = token.encode().split(b".")
    if len(parts) != PARTS or len(parts[0]) > HEADER_CHARS_MAX:
        raise _refused("malformed")
    try:
        header, claims = (parse(urlsafe_b64decode(part), DEPTH_MAX) for part in parts[:2])
    except (NotStrictJSON, ValueError):
        raise _refused("malformed") from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise _refused("malformed")
    return header, claims


def _refused(cause: str, issuer: str = "") -> NotAuthenticated:
    """The same words whatever the cause; only the record tells them apart."""
    credential = f"oidc:{issuer}" if issuer else ""
    return NotAuthenticated(_MESSAGE, cause=cause, credential=credential, code="invalid_token")
