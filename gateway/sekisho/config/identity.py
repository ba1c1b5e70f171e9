"""Settings of identity and limits: proxies, issuers, SCIM, and how limits are counted."""

from __future__ import annotations

from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from sekisho.config.kinds import (
    DAY_S,
    HOUR_S,
    EnvironmentName,
    HeaderName,
    HttpUrl,
    Name,
    Network,
    RoleName,
    ScopeName,
    Section,
    is_loopback,
)


class IdentitySettings(Section):
    """Who is let in, beside the keys of `sekisho key`."""

    trusted_peers: tuple[Network, ...] = Field(
        (),
        max_length=100,
        description="Addresses or networks of the reverse proxies in front. Only from them "
        "x-forwarded-for and the headers below are believed; from others they are ignored and the "
        "attempt is recorded.",
    )
    user_header: HeaderName | None = Field(
        None,
        description="Header in which a trusted peer names the principal; absent: none is believed. "
        "With assertion_header it is ignored, and groups_header with it.",
    )
    groups_header: HeaderName | None = Field(
        None, description="Header with the principal's groups, comma-separated, beside user_header."
    )
    assertion_header: HeaderName | None = Field(
        None,
        description="Header in which a trusted peer hands over a signed token of one of the "
        "[[issuers]]; better than a bare name, because it is checked; where it is set, "
        "user_header and groups_header are not read.",
    )
    certificate_header: HeaderName | None = Field(
        None,
        description="Header in which a trusted peer that ends TLS names the subject of the "
        "client's certificate.",
    )
    session_ttl_s: int = Field(
        10 * HOUR_S, ge=300, le=7 * DAY_S, description="A sign-in lasts a working day."
    )
    session_idle_s: int = Field(
        HOUR_S, ge=60, le=7 * DAY_S, description="A page nobody uses for so long is signed out."
    )
    failures_per_min: int = Field(
        20,
        ge=1,
        le=10_000,
        description="Refused credentials of one address that are recorded one by one and answered "
        "401; further ones get 429 and are recorded as a count. Good credentials still pass.",
    )

    @model_validator(mode="after")
    def _headers_need_peers(self) -> Self:
        named = (
            self.user_header,
            self.groups_header,
            self.assertion_header,
            self.certificate_header,
        )
        if any(named) and not self.trusted_peers:
            raise ValueError(
                "user_header, groups_header, assertion_header and certificate_header need "
                "trusted_peers: otherwise everyone could name themselves"
            )
        if self.groups_header and not self.user_header:
            raise ValueError("groups_header needs user_header")
        return self


class IssuerSettings(Section):
    """One OpenID Connect issuer whose tokens and sign-ins are accepted."""

    id: Name = Field(description="Its name in events and in the sign-in page.")
    url: HttpUrl = Field(description="The issuer as its tokens name it; discovery is under it.")
    audience: str = Field(
        min_length=1, max_length=256, description="What `aud` of a bearer token must contain."
    )
    client_id: str | None = Field(
        None, max_length=256, description="For sign-in by people; absent: bearer tokens only."
    )
    client_secret_env: EnvironmentName | None = Field(
        None,
        description="The environment variable with the client's secret; absent: a public client, "
        "which PKCE protects alone.",
    )
    algorithms: tuple[
        Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"],
        ...,
    ] = Field(
        ("RS256", "ES256"),
        min_length=1,
        description="Signatures accepted. Symmetric ones and `none` cannot be chosen.",
    )
    principal_claim: str = Field(
        "sub",
        min_length=1,
        max_length=64,
        description="The claim that names a principal when `provision` makes one. People can edit "
        "some claims; issuer and `sub` stay what identifies them.",
    )
    groups_claim: str = Field(
        "groups", min_length=1, max_length=64, description="The claim with a list of groups."
    )
    scopes: tuple[ScopeName, ...] = Field(
        ("openid", "profile"),
        min_length=1,
        max_length=20,
        description="What a sign-in asks for; some issuers tell groups only for a scope `groups`.",
    )
    provision: bool = Field(
        False,
        description="Make a principal for a stranger with a good token; otherwise somebody links "
        "them first (`sekisho principal link`).",
    )
    groups: dict[str, Name] = Field(
        default={}, description="From the issuer's groups to ours; others are ignored."
    )
    roles: dict[str, tuple[RoleName, ...]] = Field(
        default={}, description="From the issuer's groups to roles; others give none."
    )
    clock_skew_s: int = Field(
        30, ge=0, le=300, description="How far the issuer's clock may be from ours."
    )
    token_age_s_max: int = Field(
        DAY_S, ge=60, le=30 * DAY_S, description="A token issued longer ago is refused."
    )
    keys_refresh_s: int = Field(
        300,
        ge=5,
        le=DAY_S,
        description="The issuer's keys are fetched again after this, and sooner for an unknown "
        "key id.",
    )
    keys_stale_s: int = Field(
        DAY_S,
        ge=60,
        le=7 * DAY_S,
        description="If they cannot be fetched, the old ones are used for so long.",
    )

    @property
    def secret_env(self) -> str | None:
        """The environment variable that signing in needs, if it needs one."""
        return self.client_secret_env if self.client_id else None

    @model_validator(mode="after")
    def _no_clear_text_outside(self) -> Self:
        parts = urlsplit(self.url)
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise ValueError("url must begin with https://: keys fetched in clear prove nothing")
        return self


class ScimSettings(Section):
    """Provisioning by a directory over SCIM 2.0."""

    groups: dict[str, Name] = Field(
        default={},
        description="From the directory's groups to ours; a group not named here keeps its own "
        "name in lower case.",
    )
    roles: dict[str, tuple[RoleName, ...]] = Field(
        default={}, description="From the directory's groups to roles; others give none."
    )
    employees: bool = Field(
        True, description="Every active user is an employee; otherwise `roles` says who is."
    )


class LimitSettings(Section):
    """How limits are counted. What they are stands in the policy's data.yaml."""

    lease_share: int = Field(
        32,
        ge=2,
        le=1024,
        description="A worker leases at most this part of what is left at once: larger is more "
        "exact near the limit and asks more often.",
    )
    lease_s: float = Field(
        5, ge=0.5, le=60, description="Places leased for exchanges at once return after this."
    )
    answer_tokens: int = Field(
        1024,
        ge=1,
        le=1_000_000,
        description="Set aside for an answer whose request has no cap; what is used is counted.",
    )
