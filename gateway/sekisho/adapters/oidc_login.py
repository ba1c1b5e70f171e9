"""Signing in at an OpenID Connect issuer: authorization code with PKCE, built on Authlib.

`begin` sends the browser to the issuer, `finish` is what its way back must prove: the same browser,
a sign-in we began, with this issuer, taken for the first time, a code that the issuer changes into
an ID token with our nonce. Nonce and PKCE verifier are derived from the random `state`, so the
store holds neither. The issuer's tokens are used to learn who it is, and dropped.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote_plus

import httpx
import structlog
from authlib.oauth2.auth import ClientAuth  # type: ignore[import-untyped]
from authlib.oauth2.rfc6749.parameters import (  # type: ignore[import-untyped]
    prepare_grant_uri,
    prepare_token_request,
)
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]

from sekisho.adapters.oidc_http import IssuerSilent, ask
from sekisho.adapters.oidc_keys import IssuerKeys, Published
from sekisho.adapters.oidc_tokens import TokenVerifier
from sekisho.adapters.redis_sessions import LoginState, RedisLogins, fresh_token
from sekisho.config.identity import IssuerSettings
from sekisho.errors import DirectoryUnavailable, NotAuthenticated, NotFound
from sekisho.model.identity import Identity

CODE_CHARS_MAX = 4_096
_WORD = re.compile(r"[a-z_]{1,64}")
_log = structlog.get_logger("sekisho.oidc")

_AGAIN = "This sign-in cannot be finished: {why}. Nobody was signed in. Please start again."
_WHY = {
    "login_unknown": "it was not begun here, took too long, or was finished before",
    "login_other_browser": "it was begun in another browser",
    "login_other_issuer": "the answer is not from the sign-in service it was begun with",
    "login_declined": "the sign-in service did not let you in",
    "code_refused": "the sign-in service did not confirm it",
}


class OidcLogin:
    """Sign-in at all configured issuers that have a `client_id`, for one worker."""

    def __init__(
        self,
        issuers: Mapping[str, IssuerKeys],
        verifier: TokenVerifier,
        logins: RedisLogins,
        http: httpx.AsyncClient,
        *,
        public_url: str,
        client_secrets: Mapping[str, str],
    ) -> None:
        """`client_secrets` by issuer, for those that are no public clients."""
        self._issuers = {name: keys for name, keys in issuers.items() if keys.settings.client_id}
        self._verifier = verifier
        self._logins = logins
        self._http = http
        self._public_url = public_url
        self._secrets = client_secrets

    @property
    def issuers(self) -> Sequence[str]:
        """Where people can sign in, in the order of the configuration."""
        return tuple(self._issuers)

    async def begin(self, issuer: str, return_to: str) -> tuple[str, str]:
        """Where to send the browser, and what it must keep in a cookie until it is back.

        Raises NotFound, DirectoryUnavailable or Unavailable (`sessions_unavailable`).
        """
        keys = self._issuer(issuer)
        self._secret(keys.settings)
        published = await keys.published()
        if not published.authorization_endpoint or not published.token_endpoint:
            raise DirectoryUnavailable(f"{issuer} does not say where to sign in.")
        state, browser = fresh_token(), fresh_token()
        kept = self._logins.derive("browser", browser)
        await self._logins.begin(state, LoginState(issuer, return_to, kept))
        url: str = prepare_grant_uri(
            published.authorization_endpoint,
            client_id=keys.settings.client_id,
            response_type="code",
            redirect_uri=self._redirect_uri(issuer),
            scope=_scope(keys.settings),
            state=state,
            nonce=self._logins.derive("nonce", state),
            code_challenge=create_s256_code_challenge(self._logins.derive("verifier", state)),
            code_challenge_method="S256",
        )
        return url, browser

    async def finish(
        self, issuer: str, said: Mapping[str, str], browser: str
    ) -> tuple[Identity, str]:
        """Who signed in, and where they wanted to go. `said` is the query of the way back.

        Raises NotAuthenticated with its cause, or as `begin` does.
        """
        keys = self._issuer(issuer)
        login = await self._logins.take(said.get("state", ""))
        if login is None:
            raise _refused("login_unknown", issuer)
        if not hmac.compare_digest(login.browser, self._logins.derive("browser", browser)):
            raise _refused("login_other_browser", issuer)
        published = await keys.published()
        named = said.get("iss", "" if published.names_itself else published.issuer)
        if login.issuer != issuer or named != published.issuer:
            raise _refused("login_other_issuer", issuer)
        code = said.get("code", "")
        if "error" in said or not 0 < len(code) <= CODE_CHARS_MAX:
            _log.info("sign-in declined", issuer=issuer, why=_word(said.get("error")))
            raise _refused("login_declined", issuer)
        state = said["state"]
        tokens = await self._exchange(keys.settings, published, state, code)
        identity = await self._verifier.verify_id_token(
            issuer,
            tokens["id_token"],
            nonce=self._logins.derive("nonce", state),
            access_token=tokens["access_token"],
        )
        return identity, login.return_to

    async def _exchange(
        self, settings: IssuerSettings, published: Published, state: str, code: str
    ) -> Mapping[str, str]:
        """The issuer's tokens for a code. Raises NotAuthenticated or DirectoryUnavailable."""
        body = prepare_token_request(
            "authorization_code",
            redirect_uri=self._redirect_uri(settings.id),
            code=code,
            code_verifier=self._logins.derive("verifier", state),
        )
        secret = self._secret(settings)
        method = _basic if secret else "none"
        if secret and published.secret_in_body:
            method = "client_secret_post"
        url, headers, body = ClientAuth(settings.client_id, secret, method).prepare(
            "POST",
            published.token_endpoint,
            {"content-type": "application/x-www-form-urlencoded"},
            body,
        )
        try:
            status, answer = await ask(self._http, url, form=body, headers=headers)
        except IssuerSilent as error:
            _log.warning("no tokens from the issuer", issuer=settings.id, why=str(error))
            raise _silent(settings.id) from error
        if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise _silent(settings.id)
        if status != httpx.codes.OK or not _are_tokens(answer):
            word = _word(answer.get("error")) if isinstance(answer, dict) else ""
            _log.warning("code refused", issuer=settings.id, status=status, why=word)
            raise _refused("code_refused", settings.id)
        tokens: Mapping[str, str] = answer
        return tokens

    def _issuer(self, issuer: str) -> IssuerKeys:
        keys = self._issuers.get(issuer)
        if keys is None:
            raise NotFound("There is no such sign-in service here.")
        return keys

    def _secret(self, settings: IssuerSettings) -> str:
        """Without the secret it was given a name for, a client must not pass as a public one."""
        secret = self._secrets.get(settings.id, "")
        if settings.client_secret_env and not secret:
            raise DirectoryUnavailable(
                f"Signing in at {settings.id} is not set up: operators, "
                f"{settings.client_secret_env} is empty."
            )
        return secret

    def _redirect_uri(self, issuer: str) -> str:
        return f"{self._public_url}/login/{issuer}/callback"


def _scope(settings: IssuerSettings) -> str:
    more = ("email",) if settings.principal_claim == "email" else ()
    return " ".join(dict.fromkeys(("openid", *settings.scopes, *more)))


def _basic(
    client: Any, _: str, uri: str, headers: dict[str, str], body: str
) -> tuple[str, dict[str, str], str]:
    """HTTP Basic as RFC 6749 section 2.3.1 has it: both halves form-encoded first.

    Authlib's own leaves that out, and a secret with `%`, `+` or `:` would not be understood.
    """
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return uri, headers, body


def _are_tokens(answer: object) -> bool:
    if not isinstance(answer, dict):
        return False
    parts = [answer.get(name) for name in ("id_token", "access_token", "token_type")]
    return all(isinstance(part, str) for part in parts) and str(parts[2]).lower() == "bearer"


def _word(said: object) -> str:
    """An error code as the issuer gave it, if it is a plain word: nothing else is logged."""
    return said if isinstance(said, str) and _WORD.fullmatch(said) else ""


def _refused(cause: str, issuer: str) -> NotAuthenticated:
    message = _AGAIN.format(why=_WHY[cause])
    return NotAuthenticated(
        message, cause=cause, credential=f"oidc:{issuer}", code="sign_in_refused"
    )


def _silent(issuer: str) -> DirectoryUnavailable:
    return DirectoryUnavailable(
        f"The sign-in service {issuer} does not answer. Nobody was signed in; try again later."
    )
