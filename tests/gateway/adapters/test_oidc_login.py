from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlsplit

import httpx
import pytest
from aiohttp import web
from redis.asyncio import Redis
from structlog.testing import capture_logs

from sekisho.adapters.oidc_http import open_client
from sekisho.adapters.oidc_keys import IssuerKeys
from sekisho.adapters.oidc_login import OidcLogin
from sekisho.adapters.oidc_tokens import TokenVerifier
from sekisho.adapters.redis_holds import connect
from sekisho.adapters.redis_sessions import RedisLogins
from sekisho.errors import DirectoryUnavailable, NotAuthenticated, NotFound
from sekisho.model.identity import Identity
from support.oidc import CLIENT, LoopbackIssuer, rsa_key
from support.valkey import Valkey

SECRET = "a+b%c:d é"
CANARY = "canary-code-51"


@dataclass
class Desk:
    """One worker's sign-in at one issuer, and a browser that a test plays."""

    issuer: LoopbackIssuer
    http: httpx.AsyncClient
    client: Redis
    login: OidcLogin

    def build(self, secrets: dict[str, str] | None = None, **settings: Any) -> None:
        keys = {"corp": IssuerKeys(self.issuer.settings(**settings), self.http)}
        self.login = OidcLogin(
            keys,
            TokenVerifier(keys),
            RedisLogins(self.client, b"p" * 32),
            self.http,
            public_url="https://gateway.example",
            client_secrets=secrets or {},
        )

    async def begin(self, return_to: str = "/console") -> tuple[dict[str, str], str]:
        """The query sent to the issuer, and the browser's cookie; the issuer has a token ready."""
        url, browser = await self.login.begin("corp", return_to)
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        self.issuer.tokens = self.tokens(query["nonce"])
        return query, browser

    def tokens(self, nonce: str, /, **claims: Any) -> dict[str, Any]:
        token = self.issuer.id_token(nonce, **claims)
        return {"id_token": token, "access_token": "at", "token_type": "Bearer"}

    async def finish(self, state: str, browser: str, **said: str) -> tuple[Identity, str]:
        return await self.login.finish("corp", {"state": state, "code": CANARY, **said}, browser)

    async def cause(self, state: str, browser: str, **said: str) -> str:
        """Why this way back is refused; nothing secret is in the error."""
        with pytest.raises(NotAuthenticated) as caught:
            await self.finish(state, browser, **said)
        assert not [
            text
            for text in (CANARY, state, browser)
            if len(text) > 8 and text in repr(caught.value)
        ]
        assert caught.value.code in {"sign_in_refused", "invalid_token"}, "nobody sent a key"
        return caught.value.cause


@pytest.fixture
async def desk(valkey: Valkey) -> AsyncIterator[Desk]:
    client = connect(valkey.url)
    async with LoopbackIssuer() as issuer, open_client() as http:
        one = Desk(issuer, http, client, None)  # type: ignore[arg-type]
        one.build()
        yield one
    await client.aclose()


async def test_the_browser_is_sent_with_pkce_state_and_nonce(desk: Desk) -> None:
    """To the address of the discovery document, for a code."""
    query, browser = await desk.begin()

    assert query["response_type"] == "code"
    assert query["client_id"] == CLIENT
    assert query["redirect_uri"] == "https://gateway.example/login/corp/callback"
    assert query["scope"] == "openid profile"
    assert query["code_challenge_method"] == "S256"
    distinct = {query["state"], query["nonce"], query["code_challenge"], browser}
    assert len(distinct) == 4
    assert all(len(text) == 43 for text in distinct)


async def test_the_way_back_tells_who_signed_in(desk: Desk) -> None:
    """And where they wanted to go; the verifier fits the challenge."""
    query, browser = await desk.begin("/approvals/h-1")

    identity, return_to = await desk.finish(query["state"], browser)

    assert (identity.issuer, identity.subject) == ("corp", "7f3a")
    assert return_to == "/approvals/h-1"
    form, _ = desk.issuer.forms[0]
    digest = hashlib.sha256(form["code_verifier"].encode()).digest()
    assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == query["code_challenge"]
    assert form["code"] == CANARY
    assert form["redirect_uri"] == query["redirect_uri"]
    assert form["client_id"] == CLIENT, "a public client says who it is"


@pytest.mark.parametrize("code", ["é", "%zz", "a b&c=d+e", "\x00", "日本", '{}[]|^`<>"'])
async def test_a_code_is_passed_on_as_it_came(desk: Desk, code: str) -> None:
    """Whatever its characters: it is the issuer's, and adds no field to our form."""
    query, browser = await desk.begin()
    await desk.finish(query["state"], browser, code=code)

    form, _ = desk.issuer.forms[0]
    assert form["code"] == code
    assert set(form) == {"grant_type", "redirect_uri", "code", "code_verifier", "client_id"}


async def test_a_secret_is_sent_form_encoded_in_the_head(desk: Desk) -> None:
    """RFC 6749 section 2.3.1, for secrets with any character."""
    desk.build({"corp": SECRET}, client_secret_env="CORP_SECRET")
    query, browser = await desk.begin()
    await desk.finish(query["state"], browser)

    form, head = desk.issuer.forms[0]
    pair = base64.b64decode(head["authorization"].removeprefix("Basic ")).decode()
    assert [unquote_plus(half) for half in pair.split(":")] == [CLIENT, SECRET]
    assert "client_secret" not in form


async def test_a_secret_goes_into_the_body_where_the_issuer_wants_nothing_else(desk: Desk) -> None:
    """As its discovery document says."""
    desk.issuer.said = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    desk.build({"corp": SECRET}, client_secret_env="CORP_SECRET")
    query, browser = await desk.begin()
    await desk.finish(query["state"], browser)

    form, head = desk.issuer.forms[0]
    assert form["client_secret"] == SECRET
    assert "authorization" not in head


async def test_a_missing_secret_makes_no_public_client(desk: Desk) -> None:
    """The operators named one and it is empty: nobody is sent anywhere."""
    desk.build({}, client_secret_env="CORP_SECRET")

    with pytest.raises(DirectoryUnavailable, match="CORP_SECRET"):
        await desk.login.begin("corp", "/")


async def test_a_way_back_works_once(desk: Desk) -> None:
    """The address in the browser's history is worth nothing, and no code is asked about twice."""
    query, browser = await desk.begin()
    await desk.finish(query["state"], browser)

    assert await desk.cause(query["state"], browser) == "login_unknown"
    assert len(desk.issuer.forms) == 1


async def test_another_browser_cannot_finish_it(desk: Desk) -> None:
    """A link with somebody else's code signs nobody in as somebody else."""
    theirs, _ = await desk.begin()
    _, mine = await desk.begin()

    assert await desk.cause(theirs["state"], mine) == "login_other_browser"
    assert desk.issuer.forms == []


async def test_a_browser_without_a_cookie_cannot_finish_it(desk: Desk) -> None:
    """Nor can it be tried again: the sign-in is used up."""
    query, browser = await desk.begin()

    assert await desk.cause(query["state"], "") == "login_other_browser"
    assert await desk.cause(query["state"], browser) == "login_unknown"


@pytest.mark.parametrize("state", ["", "x", "A" * 43])
async def test_a_made_up_state_is_refused(desk: Desk, state: str) -> None:
    """Before anybody is asked about the code."""
    _, browser = await desk.begin()

    assert await desk.cause(state, browser) == "login_unknown"
    assert desk.issuer.forms == []


async def test_a_swapped_state_does_not_fit_the_token(desk: Desk) -> None:
    """The ID token carries the nonce of the other sign-in."""
    first, _ = await desk.begin()
    second, browser = await desk.begin()
    desk.issuer.tokens = desk.tokens(first["nonce"])

    assert await desk.cause(second["state"], browser) == "wrong_nonce"


async def test_an_answer_that_names_another_issuer_is_refused(desk: Desk) -> None:
    """RFC 9207: the code is not sent to anybody."""
    query, browser = await desk.begin()

    assert await desk.cause(query["state"], browser, iss="https://x.example") == (
        "login_other_issuer"
    )
    assert desk.issuer.forms == []


async def test_an_issuer_that_promises_to_name_itself_must(desk: Desk) -> None:
    """Leaving the name out is how it would be swapped; the right name is fine."""
    desk.issuer.said = {"authorization_response_iss_parameter_supported": True}
    query, browser = await desk.begin()
    assert await desk.cause(query["state"], browser) == "login_other_issuer"

    query, browser = await desk.begin()
    identity, _ = await desk.finish(query["state"], browser, iss=desk.issuer.url)
    assert identity.subject == "7f3a"


async def test_a_sign_in_begun_at_one_issuer_cannot_end_at_another(desk: Desk) -> None:
    """Mix-up: the second issuer would get the first one's code."""
    async with LoopbackIssuer() as other:
        keys = {
            "corp": IssuerKeys(desk.issuer.settings(), desk.http),
            "evil": IssuerKeys(other.settings(id="evil"), desk.http),
        }
        desk.login = OidcLogin(
            keys,
            TokenVerifier(keys),
            RedisLogins(desk.client, b"p" * 32),
            desk.http,
            public_url="https://gateway.example",
            client_secrets={},
        )
        query, browser = await desk.begin()
        said = {"state": query["state"], "code": CANARY}

        with pytest.raises(NotAuthenticated) as caught:
            await desk.login.finish("evil", said, browser)
        assert caught.value.cause == "login_other_issuer"
        assert other.forms == []


@pytest.mark.parametrize("said", [{"error": "access_denied"}, {"code": ""}, {"code": "c" * 5000}])
async def test_a_refusal_of_the_issuer_signs_nobody_in(desk: Desk, said: dict[str, str]) -> None:
    """Also if a code comes with it."""
    query, browser = await desk.begin()

    assert await desk.cause(query["state"], browser, **said) == "login_declined"
    assert desk.issuer.forms == []


@pytest.mark.parametrize(
    ("status", "tokens"),
    [
        (400, {"error": "invalid_grant", "error_description": CANARY}),
        (401, {"error": "invalid_client"}),
        (200, {"error": "invalid_grant"}),
        (200, {"access_token": "a", "token_type": "Bearer"}),
        (200, {"access_token": "a", "token_type": "Bearer", "id_token": 7}),
        (200, {"access_token": "a", "token_type": "mac", "id_token": "x"}),
        (200, ["x"]),
        (302, {}),
    ],
)
async def test_a_code_that_is_not_confirmed_signs_nobody_in(
    desk: Desk, status: int, tokens: Any
) -> None:
    """A replayed or stolen code, or an answer that is none."""
    query, browser = await desk.begin()
    desk.issuer.tokens, desk.issuer.token_status = tokens, status

    assert await desk.cause(query["state"], browser) == "code_refused"


@pytest.mark.parametrize(
    ("cause", "claims"),
    [
        ("wrong_audience", {"aud": "https://gateway.example"}),
        ("wrong_audience", {"aud": [CLIENT, "other"]}),
        ("wrong_nonce", {"nonce": "other"}),
        ("wrong_nonce", {"nonce": None}),
        ("wrong_issuer", {"iss": "https://other.example"}),
        ("token_expired", {"exp": 1_700_000_000}),
        ("wrong_token_hash", {"at_hash": "AAAA"}),
        ("malformed", {"sub": None}),
    ],
)
async def test_a_bad_id_token_signs_nobody_in(
    desk: Desk, cause: str, claims: dict[str, Any]
) -> None:
    """Even from the token endpoint itself."""
    query, browser = await desk.begin()
    desk.issuer.tokens = desk.tokens(query["nonce"], **claims)

    assert await desk.cause(query["state"], browser) == cause


@pytest.mark.parametrize("status", [201, 400, 403])
async def test_tokens_in_an_error_are_none(desk: Desk, status: int) -> None:
    """Only 200 confirms a code."""
    query, browser = await desk.begin()
    desk.issuer.token_status = status

    assert await desk.cause(query["state"], browser) == "code_refused"


async def test_an_id_token_of_a_strange_key_signs_nobody_in(desk: Desk) -> None:
    """TLS to the token endpoint is not taken for a signature."""
    query, browser = await desk.begin()
    own, desk.issuer.keys = desk.issuer.keys, [rsa_key("rsa-1")]
    desk.issuer.tokens = desk.tokens(query["nonce"])
    desk.issuer.keys = own

    assert await desk.cause(query["state"], browser) == "bad_signature"


@pytest.mark.parametrize("fault", [web.Response(text="<html>"), web.Response(status=500)])
async def test_a_token_endpoint_that_fails_is_said_so(desk: Desk, fault: web.Response) -> None:
    """Nobody is signed in, and it is not the person's fault."""
    query, browser = await desk.begin()
    desk.issuer.faults["/token"] = fault

    with pytest.raises(DirectoryUnavailable):
        await desk.finish(query["state"], browser)


async def test_a_dead_issuer_is_said_before_anybody_leaves(desk: Desk) -> None:
    """503, and no sign-in is kept."""
    desk.issuer.down = True

    with pytest.raises(DirectoryUnavailable):
        await desk.login.begin("corp", "/")
    assert [key async for key in desk.client.scan_iter(match="*login*")] == []


@pytest.mark.parametrize("missing", ["authorization_endpoint", "token_endpoint"])
async def test_an_issuer_without_sign_in_is_said_so(desk: Desk, missing: str) -> None:
    """Its tokens can still be good."""
    desk.issuer.said = {missing: None}

    with pytest.raises(DirectoryUnavailable):
        await desk.login.begin("corp", "/")


async def test_only_issuers_with_a_client_are_offered(desk: Desk) -> None:
    """The others issue bearer tokens only."""
    assert desk.login.issuers == ("corp",)
    desk.build(client_id=None)

    assert desk.login.issuers == ()
    with pytest.raises(NotFound):
        await desk.login.begin("corp", "/")
    with pytest.raises(NotFound):
        await desk.login.finish("nobody", {}, "")


async def test_nothing_secret_gets_into_the_logs(desk: Desk) -> None:
    """State, code, cookie, tokens and what a stranger puts into `error` stay out of them."""
    with capture_logs() as lines:
        query, browser = await desk.begin()
        await desk.finish(query["state"], browser)
        for said in ({"error": CANARY}, {"error": "access_denied"}):
            query, browser = await desk.begin()
            await desk.cause(query["state"], browser, **said)
        query, browser = await desk.begin()
        desk.issuer.tokens, desk.issuer.token_status = {"error": CANARY, "x": CANARY}, 400
        await desk.cause(query["state"], browser)

    assert "access_denied" in repr(lines)
    for secret in (CANARY, browser, query["state"], "eyJ"):
        assert secret not in repr(lines)
