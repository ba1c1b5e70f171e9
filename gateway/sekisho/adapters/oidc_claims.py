"""What a token whose signature is good must say before it is believed. Pure: no keys, no network.

Access tokens follow RFC 9068 as far as issuers do: `typ` may be absent or `JWT` where it should be
`at+jwt`, but a token that is something else is refused wherever it shows, because an ID token or a
logout token of the same issuer has the same signature. Sender-constrained tokens (`cnf`) are
refused: whoever holds the key they are bound to cannot be seen here, and taking them as bearer
tokens would undo their protection.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from sekisho.config.identity import IssuerSettings
from sekisho.model.identity import Identity

SUBJECT_CHARS_MAX = 255  # OpenID Connect Core 1.0, section 2
GROUPS_MAX = 1_000  # more are not a person's groups
GROUP_CHARS_MAX = 256
SIGN_IN_S_MAX = 600  # an ID token is used at once
_SECONDS_MAX = 253_402_300_800  # the year 10000
_US = 1_000_000

_ACCESS_TYPES = {"", "jwt", "at+jwt", "application/at+jwt", "application/jwt"}
_ID_TYPES = {"", "jwt", "application/jwt"}
_SURE = {"at+jwt", "application/at+jwt"}
# What an ID token carries and an access token has no use for, OpenID Connect Core 1.0 section 3.
_OF_ID_TOKENS = ("nonce", "at_hash", "c_hash", "s_hash")
# Kinds that one widespread issuer writes into the claim `typ` of tokens it signs with one key.
_OTHER_KINDS = {"id", "refresh", "offline", "logout", "initial_access", "registration_access"}

Claims = Mapping[str, Any]


class Unacceptable(Exception):
    """The token is not accepted; `cause` is for the record, a word and never a value of it."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


def check_access(
    header: Claims, claims: Claims, settings: IssuerSettings, issuer: str, now_us: int
) -> None:
    """Raises Unacceptable unless this is an access token for us that is valid now."""
    kind = _kind(header)
    if kind not in _ACCESS_TYPES:
        raise Unacceptable("wrong_type")
    if kind not in _SURE and _looks_like_another(claims):
        raise Unacceptable("id_token")
    if "cnf" in claims:
        raise Unacceptable("sender_constrained")
    _check_common(claims, settings, issuer, settings.audience, now_us)
    if issued_us(claims) + (settings.token_age_s_max + settings.clock_skew_s) * _US < now_us:
        raise Unacceptable("too_old")


def check_id_token(
    header: Claims,
    claims: Claims,
    settings: IssuerSettings,
    issuer: str,
    now_us: int,
    *,
    nonce: str,
    access_token: str,
) -> None:
    """Raises Unacceptable unless this is the ID token of the sign-in that chose `nonce`."""
    client = settings.client_id or ""
    if _kind(header) not in _ID_TYPES or "events" in claims:
        raise Unacceptable("wrong_type")
    _check_common(claims, settings, issuer, client, now_us)
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if several else client) != client:
        raise Unacceptable("wrong_audience")
    if not _same(claims.get("nonce"), nonce):
        raise Unacceptable("wrong_nonce")
    if "at_hash" in claims and not _same(
        claims["at_hash"], _half_hash(access_token, str(header.get("alg")))
    ):
        raise Unacceptable("wrong_token_hash")
    if issued_us(claims) + (SIGN_IN_S_MAX + settings.clock_skew_s) * _US < now_us:
        raise Unacceptable("too_old")


def read_identity(claims: Claims, settings: IssuerSettings) -> Identity:
    """Who the token is about. Issuer and `sub` identify; anything else is only what was said."""
    name = claims.get(settings.principal_claim)
    proposed = isinstance(name, str) and 0 < len(name) <= SUBJECT_CHARS_MAX and name.isprintable()
    return Identity(
        issuer=settings.id,
        subject=str(claims["sub"]),
        name=str(name) if proposed else "",
        groups=_groups(claims, settings.groups_claim),
        issued_us=issued_us(claims),
    )


def issued_us(claims: Claims) -> int:
    """When the issuer said so. Raises Unacceptable."""
    return _time_us(claims, "iat")


def expires_us(claims: Claims) -> int:
    """When the token ends by the issuer's clock. Raises Unacceptable."""
    return _time_us(claims, "exp")


def _check_common(
    claims: Claims, settings: IssuerSettings, issuer: str, audience: str, now_us: int
) -> None:
    skew_us = settings.clock_skew_s * _US
    if claims.get("iss") != issuer:
        raise Unacceptable("wrong_issuer")
    _check_audience(claims.get("aud"), audience)
    subject = claims.get("sub")
    if (
        not isinstance(subject, str)
        or not 0 < len(subject) <= SUBJECT_CHARS_MAX
        or not subject.isprintable()
    ):
        raise Unacceptable("malformed")
    if expires_us(claims) + skew_us <= now_us:
        raise Unacceptable("token_expired")
    if issued_us(claims) - skew_us > now_us:
        raise Unacceptable("not_yet_valid")
    if "nbf" in claims and _time_us(claims, "nbf") - skew_us > now_us:
        raise Unacceptable("not_yet_valid")


def _check_audience(named: object, wanted: str) -> None:
    listed = [named] if isinstance(named, str) else named
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        raise Unacceptable("malformed" if named is not None else "wrong_audience")
    if not wanted or wanted not in listed:
        raise Unacceptable("wrong_audience")


def _kind(header: Claims) -> str:
    kind = header.get("typ", "")
    if not isinstance(kind, str):
        raise Unacceptable("malformed")
    return kind.lower()


def _looks_like_another(claims: Claims) -> bool:
    kind = claims.get("typ")
    return (
        any(name in claims for name in _OF_ID_TOKENS)
        or "events" in claims
        or (isinstance(kind, str) and kind.lower() in _OTHER_KINDS)
    )


def _time_us(claims: Claims, name: str) -> int:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unacceptable("malformed")
    if not 0 < value < _SECONDS_MAX:  # neither is NaN
        raise Unacceptable("malformed")
    return int(value * _US)


def _groups(claims: Claims, name: str) -> tuple[str, ...] | None:
    """The groups, None if nothing is said of them, or a refusal: who is in groups that cannot be
    read may be someone rules name.
    """
    elsewhere = claims.get("_claim_names")
    if isinstance(elsewhere, dict) and name in elsewhere:
        raise Unacceptable("groups_elsewhere")  # too many for the token: it only says where to ask
    said = claims.get(name)
    if said is None:
        return None
    groups = [said] if isinstance(said, str) else said
    if (
        not isinstance(groups, list)
        or len(groups) > GROUPS_MAX
        or not all(isinstance(item, str) and len(item) <= GROUP_CHARS_MAX for item in groups)
    ):
        raise Unacceptable("malformed")
    return tuple(sorted(set(groups)))


def _same(said: object, wanted: str) -> bool:
    return isinstance(said, str) and hmac.compare_digest(said.encode(), wanted.encode())


def _half_hash(access_token: str, algorithm: str) -> str:
    """`at_hash` of OpenID Connect Core 1.0, section 3.1.3.6."""
    digest = {"256": hashlib.sha256, "384": hashlib.sha384}.get(algorithm[-3:], hashlib.sha512)(
        access_token.encode()
    ).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
