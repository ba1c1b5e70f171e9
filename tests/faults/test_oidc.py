"""Sign-in and bearer tokens against two real issuers, and everything a thief would try."""

from __future__ import annotations

import base64
import hashlib
import hmac
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import orjson
import pytest
import redis
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import RSAKey
from structlog.testing import capture_logs

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.adapters.oidc_keys import RETRY_S
from sekisho.config.identity import IssuerSettings
from sekisho.model.principal import Role
from sekisho_audit import verify
from support.ledgers import Auditd
from support.oidc import rsa_key, sign
from support.oidc_servers import MockIssuer, NodeIssuer
from support.oidc_site import HERE, OidcSite, oidc_site, query_of
from support.valkey import Valkey

SECRET = "se+cret%with:every thing"
SECRETS = {"node": SECRET, "mock": "any"}
AUDIENCE = "https://gateway.example/api"


@pytest.fixture(autouse=True)
def _ready_and_quiet() -> None:
    """These tests need issuers and not the installation of the other ones here."""


@pytest.fixture(scope="module")
def node() -> Iterator[NodeIssuer]:
    with NodeIssuer(f"{HERE}/login/node/callback", AUDIENCE, SECRET) as issuer:
        yield issuer


@pytest.fixture(scope="module")
def mock() -> Iterator[MockIssuer]:
    with MockIssuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    one = Valkey()
    one.start()
    yield one
    one.close()


@pytest.fixture
def valkey(server: Valkey) -> Valkey:
    """Empty, as after a first start."""
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    return server


def _settings(
    issuer: NodeIssuer | MockIssuer, name: str, client: str, **more: Any
) -> IssuerSettings:
    settings = {
        "id": name,
        "url": issuer.url,
        "audience": AUDIENCE,
        "client_id": client,
        "provision": True,
        "groups": {"finance": "fin"},
        "roles": {"finance": ["employee", "reviewer"]},
        **more,
    }
    return IssuerSettings.model_validate(settings)


@pytest.fixture
async def site(
    tmp_path: Path, valkey: Valkey, node: NodeIssuer, mock: MockIssuer
) -> AsyncIterator[OidcSite]:
    issuers = [
        _settings(node, "node", "sekisho-secret", client_secret_env="NODE_SECRET"),
        _settings(mock, "mock", "anybody", client_secret_env="MOCK_SECRET"),
    ]
    async with oidc_site(tmp_path, valkey.url, issuers, SECRETS) as one:
        yield one


def _b64(part: object) -> str:
    raw = part if isinstance(part, bytes) else orjson.dumps(part)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unb64(part: str) -> Any:
    return orjson.loads(base64.urlsafe_b64decode(part + "=="))


async def _bearer(node: NodeIssuer, **form: str) -> str:
    """An access token of the real issuer, for a program that has a client of its own."""
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(
            f"{node.url}/token",
            data={"grant_type": "client_credentials", "scope": "ask", **form},
            headers={"authorization": f"Basic {_basic()}"},
        )
    return str(answer.json()["access_token"])


def _basic() -> str:
    pair = urlencode({"": "sekisho-secret"})[1:] + ":" + urlencode({"": SECRET})[1:]
    return base64.b64encode(pair.encode()).decode()


# -- signing in


@pytest.mark.parametrize("issuer", ["node", "mock"])
async def test_a_person_signs_in(site: OidcSite, issuer: str) -> None:
    """Through the issuer's own forms; groups and roles come by the table; all is recorded."""
    browser = site.browser()
    answer = await browser.sign_in(issuer, "7f3a", "/approvals/h-1")

    assert (answer.status_code, answer.headers["location"]) == (303, "/approvals/h-1")
    me = await browser.me()
    assert (me["id"], me["authentication"]) == ("7f3a", "session")
    assert me["credential"] == f"oidc:{issuer}"
    assert me["roles"] == [Role.EMPLOYEE.value, Role.REVIEWER.value]
    assert me["groups"] == ["fin"]
    assert site.types() == [
        *("principal.changed", "principal.linked", "principal.changed", "session.signed_in")
    ]


@pytest.mark.parametrize("client", ["sekisho-public", "sekisho-es256"])
async def test_public_clients_and_other_algorithms_sign_in(
    tmp_path: Path, valkey: Valkey, node: NodeIssuer, client: str
) -> None:
    """PKCE alone protects the one; the other's ID tokens are signed with ES256."""
    secret = client != "sekisho-public"
    settings = _settings(node, "node", client, client_secret_env="NODE_SECRET" if secret else None)
    secrets = {"node": SECRET} if secret else {}
    async with oidc_site(tmp_path, valkey.url, [settings], secrets) as site:
        browser = site.browser()
        assert (await browser.sign_in("node", "7f3a")).status_code == 303
        assert (await browser.me())["id"] == "7f3a"


async def test_a_stranger_is_not_let_in_by_an_issuer_that_does_not_provision(
    tmp_path: Path, valkey: Valkey, mock: MockIssuer
) -> None:
    """A good sign-in of nobody we know: refused and recorded."""
    settings = _settings(mock, "mock", "anybody", client_secret_env="MOCK_SECRET", provision=False)
    async with oidc_site(tmp_path, valkey.url, [settings], SECRETS) as site:
        browser = site.browser()
        assert (await browser.sign_in("mock", "7f3a")).status_code == 401
        assert site.refusals()[0][0] == "not_linked"
        assert (await browser.open("/v1/me")).status_code == 401


@pytest.mark.parametrize("issuer", ["node", "mock"])
async def test_a_replayed_way_back_is_refused(site: OidcSite, issuer: str) -> None:
    """In the same browser and in a thief's."""
    browser, thief = site.browser(), site.browser()
    back = await browser.to_callback(issuer, "7f3a")
    assert (await browser.open(back)).status_code == 303

    for again in (browser, thief):
        assert (await again.open(back)).status_code == 401
    assert site.refusals() == [("login_unknown", f"oidc:{issuer}")] * 2
    assert (await browser.me())["id"] == "7f3a", "the session stays"
    assert (await thief.open("/v1/me")).status_code == 401


@pytest.mark.parametrize("issuer", ["node", "mock"])
async def test_a_replayed_code_is_refused(site: OidcSite, issuer: str) -> None:
    """A code from somebody's address bar, sent back within a sign-in of one's own."""
    victim, thief = site.browser(), site.browser()
    used = query_of(await victim.to_callback(issuer, "7f3a"))
    await victim.open(f"/login/{issuer}/callback?{urlencode(used)}")
    own = query_of(await thief.to_callback(issuer, "other"))

    answer = await thief.open(
        f"/login/{issuer}/callback?{urlencode({**own, 'code': used['code']})}"
    )

    assert answer.status_code == 401
    assert site.refusals()[-1] == ("code_refused", f"oidc:{issuer}")
    assert (await thief.open("/v1/me")).status_code == 401


async def test_a_stolen_code_that_was_not_used_is_worth_nothing(site: OidcSite) -> None:
    """PKCE and nonce tie it to the sign-in it was made for."""
    victim, thief = site.browser(), site.browser()
    stolen = query_of(await victim.to_callback("node", "7f3a"))
    own = query_of(await thief.to_callback("node", "other"))

    answer = await thief.open(f"/login/node/callback?{urlencode({**own, 'code': stolen['code']})}")

    assert answer.status_code == 401
    assert site.refusals()[-1][0] == "code_refused"


@pytest.mark.parametrize("issuer", ["node", "mock"])
async def test_somebody_elses_sign_in_cannot_be_finished_here(site: OidcSite, issuer: str) -> None:
    """A link that would sign the victim in as the thief: another browser's state."""
    thief, victim = site.browser(), site.browser()
    link = await thief.to_callback(issuer, "thief")
    await victim.to_callback(issuer, "7f3a")

    assert (await victim.open(link)).status_code == 401
    assert site.refusals() == [("login_other_browser", f"oidc:{issuer}")]
    assert (await victim.open("/v1/me")).status_code == 401


async def test_swapped_states_fit_nothing(site: OidcSite) -> None:
    """Two sign-ins of one browser: the state of one with the code of the other."""
    browser = site.browser()
    first = query_of(await browser.to_callback("mock", "7f3a"))
    second = query_of(await browser.to_callback("mock", "7f3a"))
    mixed = {**second, "code": first["code"]}

    assert (await browser.open(f"/login/mock/callback?{urlencode(mixed)}")).status_code == 401
    assert site.refusals()[-1][0] in {"code_refused", "wrong_nonce"}


async def test_a_changed_nonce_is_refused(site: OidcSite) -> None:
    """The issuer signs what it was asked for; it is not what we asked for."""
    browser = site.browser()
    sent = await browser.open("/login/mock")
    url = httpx.URL(sent.headers["location"]).copy_set_param("nonce", "mine")
    back = await browser.at_issuer(str(url), "7f3a")

    assert (await browser.open(back)).status_code == 401
    assert site.refusals() == [("wrong_nonce", "oidc:mock")]


async def test_a_changed_challenge_is_refused(site: OidcSite) -> None:
    """The certified issuer does not change such a code into tokens."""
    browser = site.browser()
    sent = await browser.open("/login/node")
    url = httpx.URL(sent.headers["location"]).copy_set_param("code_challenge", "A" * 43)
    back = await browser.at_issuer(str(url), "7f3a")

    assert (await browser.open(back)).status_code == 401
    assert site.refusals() == [("code_refused", "oidc:node")]


async def test_another_client_of_the_same_issuer_signs_nobody_in(site: OidcSite) -> None:
    """Its code is for it alone."""
    browser = site.browser()
    sent = await browser.open("/login/node")
    url = httpx.URL(sent.headers["location"]).copy_set_param("client_id", "sekisho-public")
    back = await browser.at_issuer(str(url), "7f3a")

    assert (await browser.open(back)).status_code == 401
    assert site.refusals() == [("code_refused", "oidc:node")]


async def test_issuers_are_not_mixed_up(site: OidcSite) -> None:
    """A sign-in begun at one and finished at the other: neither gets the other's code."""
    browser = site.browser()
    back = query_of(await browser.to_callback("node", "7f3a"))
    answer = await browser.open(f"/login/mock/callback?{urlencode(back)}")
    assert answer.status_code == 401

    back = query_of(await browser.to_callback("node", "7f3a"))
    assert back["iss"], "the certified issuer names itself, RFC 9207"
    named = {**back, "iss": "https://other.example"}
    assert (await browser.open(f"/login/node/callback?{urlencode(named)}")).status_code == 401

    silent = query_of(await browser.to_callback("node", "7f3a"))
    del silent["iss"]
    assert (await browser.open(f"/login/node/callback?{urlencode(silent)}")).status_code == 401
    assert [cause for cause, _ in site.refusals()] == ["login_other_issuer"] * 3


async def test_who_declines_is_not_signed_in(site: OidcSite) -> None:
    """The issuer says so; nothing of its words is shown."""
    browser = site.browser()
    sent = await browser.open("/login/mock")
    back = await browser.at_issuer(sent.headers["location"], "7f3a", action="deny")
    state = query_of(sent.headers["location"])["state"]
    said = {"state": state, **query_of(back)}

    answer = await browser.open(f"/login/mock/callback?{urlencode(said)}")

    assert said["error"] == "access_denied"
    assert answer.status_code == 401
    assert site.refusals() == [("login_declined", "oidc:mock")]


async def test_signing_out_ends_it_and_the_issuers_session_does_not_bring_it_back(
    site: OidcSite,
) -> None:
    """Somebody has to press the button again."""
    browser = site.browser()
    await browser.sign_in("node", "7f3a")
    await browser.http.post(f"{HERE}/logout", headers={"origin": HERE})

    assert (await browser.open("/v1/me")).status_code == 401
    assert site.types()[-2:] == ["session.signed_out", "credential.refused"]


async def test_all_sessions_end_when_somebody_is_shut_out(site: OidcSite) -> None:
    """By the registry at once, and by the store for good."""
    browser = site.browser()
    await browser.sign_in("node", "7f3a")
    assert await site.sessions.end_all("7f3a") == 1

    assert (await browser.open("/v1/me")).status_code == 401


# -- bearer tokens


async def test_a_bearer_token_is_accepted(site: OidcSite, node: NodeIssuer) -> None:
    """Made by the real issuer for our audience."""
    answer = await site.ask(await _bearer(node))

    assert answer.status_code == 200
    assert (answer.json()["id"], answer.json()["authentication"]) == ("sekisho-secret", "oidc")
    assert answer.json()["groups"] == ["fin"]


async def test_a_token_for_another_audience_is_refused(site: OidcSite, node: NodeIssuer) -> None:
    """The issuer made it for another service, which might pass it on."""
    token = await _bearer(node, resource="https://other.example")

    assert (await site.ask(token)).status_code == 401
    assert site.refusals() == [("wrong_audience", "oidc:node")]


async def test_a_token_expires(site: OidcSite, node: NodeIssuer) -> None:
    """By our clock, with the skew that is allowed."""
    token = await _bearer(node)
    assert (await site.ask(token)).status_code == 200

    site.ahead_s = 600 + 31
    assert (await site.ask(token)).status_code == 401
    assert site.refusals() == [("token_expired", "oidc:node")]


async def test_a_token_is_not_good_before_its_time(site: OidcSite, node: NodeIssuer) -> None:
    """An issuer whose clock is far ahead, or ours far behind."""
    token = await _bearer(node)
    site.ahead_s = -60

    assert (await site.ask(token)).status_code == 401
    assert site.refusals() == [("not_yet_valid", "oidc:node")]


@pytest.mark.parametrize("issuer", ["node", "mock"])
async def test_an_id_token_is_no_bearer_token(
    site: OidcSite, mock: MockIssuer, node: NodeIssuer, issuer: str
) -> None:
    """Every web application that a person signs in to has one of them."""
    url = (node if issuer == "node" else mock).url
    browser = site.browser()
    verifier = "v" * 43
    digest = hashlib.sha256(verifier.encode()).digest()
    client = "sekisho-secret" if issuer == "node" else "anybody"
    asked = {
        "client_id": client,
        "response_type": "code",
        "redirect_uri": f"{HERE}/login/{issuer}/callback",
        "scope": "openid",
        "state": "s",
        "nonce": "n",
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    path = "auth" if issuer == "node" else "oauth2/authorize"
    back = query_of(await browser.at_issuer(f"{url}/{path}?{urlencode(asked)}", "7f3a"))
    got = await browser.http.post(
        f"{url}/{'token' if issuer == 'node' else 'oauth2/token'}",
        data={
            "grant_type": "authorization_code",
            "code": back["code"],
            "redirect_uri": asked["redirect_uri"],
            "code_verifier": verifier,
        },
        headers={"authorization": f"Basic {_basic()}"}
        if issuer == "node"
        else {"authorization": "Basic " + base64.b64encode(b"anybody:x").decode()},
    )

    assert (await site.ask(got.json()["id_token"])).status_code == 401
    assert site.refusals() == [("id_token", f"oidc:{issuer}")]


async def _public(node: NodeIssuer, token: str) -> RSAKey:
    """The real key that signed this token, as anybody can have it."""
    async with httpx.AsyncClient(trust_env=False) as http:
        listed = (await http.get(f"{node.url}/jwks")).json()["keys"]
    wanted = _unb64(token.split(".", maxsplit=1)[0])["kid"]
    return RSAKey.import_key(next(key for key in listed if key["kid"] == wanted))


async def test_forgeries_of_a_real_token_are_refused(site: OidcSite, node: NodeIssuer) -> None:
    """Unsigned, signed with the public key as a secret, with a key of one's own, or changed."""
    real = await _bearer(node)
    head, claims, signature = real.split(".")
    header = _unb64(head)
    public = await _public(node, real)
    other = _b64({**_unb64(claims), "sub": "director"})

    unsigned = [
        f"{_b64({**header, 'alg': name})}.{other}.{end}"
        for name in ("none", "None", "NONE", "")
        for end in ("", signature)
    ]
    confused = []
    for form in (
        public.as_pem(),
        public.as_der(),
        public.public_key.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        orjson.dumps(public.as_dict()),
        orjson.dumps({"keys": [public.as_dict()]}),
        base64.urlsafe_b64decode(str(public.as_dict()["n"]) + "=="),
    ):
        signed = f"{_b64({**header, 'alg': 'HS256'})}.{other}"
        confused.append(f"{signed}.{_b64(hmac.digest(form, signed.encode(), 'sha256'))}")
    own = rsa_key(header["kid"])
    brought = sign({**header, "jwk": own.as_dict()}, orjson.dumps(_unb64(other)), own)
    unknown = sign({**header, "kid": "mine"}, orjson.dumps(_unb64(other)), own)

    for token in (*unsigned, *confused, brought, unknown, f"{head}.{other}.{signature}"):
        assert (await site.ask(token)).status_code == 401
    causes = [cause for cause, _ in site.refusals()]
    assert causes == [
        *["bad_algorithm"] * (len(unsigned) + len(confused)),
        *("bad_signature", "unknown_signing_key", "bad_signature"),
    ]
    assert (await site.ask(real)).status_code == 200


async def test_one_issuer_cannot_speak_for_another(
    site: OidcSite, node: NodeIssuer, mock: MockIssuer
) -> None:
    """A real token of one, relabelled as the other's."""
    head, claims, signature = (await _bearer(node)).split(".")
    relabelled = _b64({**_unb64(claims), "iss": mock.url})
    stranger = _b64({**_unb64(claims), "iss": "https://other.example"})

    assert (await site.ask(f"{head}.{relabelled}.{signature}")).status_code == 401
    assert (await site.ask(f"{head}.{stranger}.{signature}")).status_code == 401
    assert site.refusals() == [("unknown_signing_key", "oidc:mock"), ("wrong_issuer", "")]


async def test_rotated_keys_are_followed_and_withdrawn_ones_refused(
    site: OidcSite, node: NodeIssuer
) -> None:
    """By the first token that shows them; the token remembered under the old key goes with it."""
    old = await _bearer(node)
    assert (await site.ask(old)).status_code == 200
    node.rotate()
    new = await _bearer(node)
    site.ahead_s = RETRY_S

    assert (await site.ask(new)).status_code == 200
    assert (await site.ask(old)).status_code == 401
    assert site.refusals() == [("unknown_signing_key", "oidc:node")]
    browser = site.browser()
    assert (await browser.sign_in("node", "7f3a")).status_code == 303


async def test_no_token_code_or_cookie_is_written_anywhere(
    site: OidcSite, node: NodeIssuer
) -> None:
    """Not into logs, events or what is answered, for what is accepted and what is refused."""
    with capture_logs() as lines:
        browser = site.browser()
        back = await browser.to_callback("node", "7f3a")
        answers = [await browser.open(back), await browser.open(back)]
        session = browser.http.cookies["__Host-sekisho"]
        token = await _bearer(node, resource="https://other.example")
        answers += [await site.ask(token), await site.ask(await _bearer(node))]

    assert [answer.status_code for answer in answers] == [303, 401, 401, 200]
    query = query_of(back)
    written = [repr(lines), repr(site.ledger.events), *(answer.text for answer in answers)]
    for secret in (query["code"], query["state"], session, token, "eyJ", SECRET):
        assert not [text for text in written if secret in text]


async def test_a_dead_issuer_stops_signing_in_and_nothing_else(
    tmp_path: Path, valkey: Valkey, node: NodeIssuer
) -> None:
    """503 with a page; who is signed in stays so, and the other issuer works."""
    with MockIssuer() as dying:
        issuers = [
            _settings(node, "node", "sekisho-secret", client_secret_env="NODE_SECRET"),
            _settings(dying, "mock", "anybody", client_secret_env="MOCK_SECRET"),
        ]
        async with oidc_site(tmp_path, valkey.url, issuers, SECRETS) as site:
            early, late = site.browser(), site.browser()
            await early.sign_in("mock", "7f3a")
            back = await late.to_callback("mock", "7f3a")
            dying.stop()

            assert (await late.open(back)).status_code == 503
            assert (await late.open("/v1/me")).status_code == 401
            assert (await early.me())["id"] == "7f3a"
            assert (await late.sign_in("node", "other")).status_code == 303


async def test_the_real_ledger_holds_what_happened_and_no_secret(
    tmp_path: Path, valkey: Valkey, mock: MockIssuer
) -> None:
    """Signed in, replayed, signed out: durable, sound, and readable without a secret in it."""
    # Not tmp_path: the path of a unix socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="ledger-") as folder:
        auditd = Auditd(Path(folder))
        await auditd.start()
        ledger = AuditdLedger(auditd.socket)
        await ledger.start()
        settings = _settings(mock, "mock", "anybody", client_secret_env="MOCK_SECRET")
        async with oidc_site(tmp_path, valkey.url, [settings], SECRETS, ledger) as site:
            browser = site.browser()
            back = await browser.to_callback("mock", "7f3a")
            said = [await browser.open(back), await browser.open(back)]
            session = browser.http.cookies["__Host-sekisho"]
            said.append(await browser.http.post(f"{HERE}/logout", headers={"origin": HERE}))
        await ledger.close()
        await auditd.end()

        assert [answer.status_code for answer in said] == [303, 401, 303]
        report = verify.verify(auditd.ledger)
        assert not [*report.faults, *report.doubts]
        written = b"".join(path.read_bytes() for path in auditd.ledger.rglob("*") if path.is_file())
        for event in ("session.signed_in", "credential.refused", "session.signed_out"):
            assert event.encode() in written
        for secret in (*query_of(back).values(), session, "192.0.2.7", "7f3a"):
            assert secret.encode() not in written
