"""The Directory port: every way to prove who asks, tried in one order, and none by accident.

    a secret         an API key of ours, else a token of a configured issuer
    a session        of somebody who signed in, for pages
    an assertion     a trusted peer's signed token, or the name it gives
    a certificate    that our own TLS, or a trusted peer, has checked

The first thing shown decides: a wrong key is refused even beside a good session, so that nobody is
taken for somebody else than they meant to be.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from sekisho.adapters.api_keys import PREFIX
from sekisho.adapters.identity_desk import IdentityDesk
from sekisho.adapters.sql_directory import SqlDirectory
from sekisho.errors import NotAuthenticated
from sekisho.model.identity import Identity
from sekisho.model.principal import Authentication, Principal, Shown

NOBODY = (
    "No API key was sent. Put your Sekisho key (sk-sekisho-…) where your client expects the "
    "OpenAI key; in a browser sign in first: /login."
)
SIGNED_OUT = (
    "You are not signed in, or not any more: the session is over, or what you signed in with no "
    "longer lets you in. Sign in again: /login."
)


class Tokens(Protocol):
    """Tokens of the configured issuers."""

    async def verify(self, token: str) -> Identity:
        """Whom the token proves. Raises NotAuthenticated or DirectoryUnavailable."""
        ...


class Sessions(Protocol):
    """Who signed in."""

    async def principal_of(self, session: str) -> tuple[str, str, int] | None:
        """Principal, credential and beginning (us since 1970) of a live session, or None.

        Raises Unavailable.
        """
        ...


class Credentials:
    """Implements `sekisho.ports.Directory`.

    `asserts_tokens`: what a trusted peer asserts is a signed token, never a bare name.
    """

    def __init__(
        self,
        keys: SqlDirectory,
        desk: IdentityDesk,
        tokens: Tokens | None,
        sessions: Sessions | None,
        *,
        asserts_tokens: bool,
        now_us: Callable[[], int],
    ) -> None:
        self._keys = keys
        self._desk = desk
        self._tokens = tokens
        self._sessions = sessions
        self._asserts_tokens = asserts_tokens
        self._now_us = now_us

    async def find(self, shown: Shown) -> Principal:
        """Who shows this; see the port."""
        if shown.secret:
            if self._tokens is None or shown.secret.startswith(PREFIX):
                return self._keys.by_key(shown.secret)
            return await self._by_token(shown.secret)
        if shown.session and self._sessions is not None:
            return await self._by_session(shown.session)
        if shown.asserted:
            if self._asserts_tokens:
                return await self._by_token(shown.asserted)
            return await self._desk.named(shown.asserted, shown.asserted_groups, self._now_us())
        if shown.certificate:
            return self._desk.certified(shown.certificate)
        raise NotAuthenticated(NOBODY)

    async def may_ask(self, principal: str) -> bool:
        """Whether a principal whose request waited may still ask; see the port."""
        return self._keys.may_ask(principal)

    async def anybody_in(self, reviewers: str, but: Collection[str]) -> bool:
        """Whether somebody else than `but` has this role or group; see `SqlDirectory`."""
        return self._keys.anybody_in(reviewers, but)

    async def _by_token(self, token: str) -> Principal:
        if self._tokens is None:
            raise NotAuthenticated(NOBODY, cause="malformed")
        identity = await self._tokens.verify(token)
        return await self._desk.principal_for(identity, Authentication.OIDC)

    async def _by_session(self, session: str) -> Principal:
        found = None if self._sessions is None else await self._sessions.principal_of(session)
        if found is None:
            raise NotAuthenticated(SIGNED_OUT, cause="session_over", code="session_over")
        try:
            return self._keys.by_session(*found)
        except NotAuthenticated as error:  # its words are about keys
            raise NotAuthenticated(
                SIGNED_OUT, cause=error.cause, credential=error.credential, code="session_over"
            ) from error
