from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from structlog.testing import capture_logs

from sekisho.adapters.api_keys import key_id
from sekisho.adapters.redis_holds import connect
from sekisho.adapters.redis_sessions import RedisSessions
from sekisho.config import IdentitySettings
from sekisho.errors import Forbidden, NotAuthenticated, NotFound, Unavailable
from sekisho.model.hold import HoldLimits
from sekisho.model.identity import Identity
from sekisho.model.principal import Authentication, Principal, Role, Shown
from sekisho.web import sign_in
from sekisho.web.credentials import Reader
from sekisho.web.entrance import Entrance
from sekisho.web.refusals import Refusals
from sekisho.web.services import Services
from support.memory_ledger import MemoryLedger
from support.valkey import Valkey

HERE = "https://gateway.example"
OURS = {"sec-fetch-site": "same-origin"}
KEY = "sk-sekisho-canary-key"
STAFF = Principal(
    "staff-7", frozenset({Role.EMPLOYEE, Role.REVIEWER}), frozenset({"sales"}), credential="k-1"
)
BACK = "/login/corp/callback?code=canary-code&state=canary-state"


@dataclass
class StaticDirectory:
    """One key, one token, and whoever has a session."""

    sessions: RedisSessions
    down: bool = False

    async def find(self, shown: Shown) -> Principal:
        if self.down:
            raise Unavailable("The registry cannot be read.")
        if shown.secret == KEY:
            return STAFF
        if shown.secret == "eyJ.a.token":
            return Principal(
                "staff-7", STAFF.roles, STAFF.groups, None, "oidc:corp", Authentication.OIDC
            )
        if not shown.secret and shown.session:
            found = await self.sessions.find(shown.session)
            if found is not None:
                return Principal(
                    *(found.principal, STAFF.roles, STAFF.groups, None, found.credential),
                    authentication=Authentication.SESSION,
                )
        cause = "unknown" if shown.secret or shown.session else "missing"
        raise NotAuthenticated("That is not known here.", cause=cause, credential="k-9")


@dataclass
class ScriptedLogin:
    """Satisfies Login; `ends` is what the way back leads to."""

    issuers: Sequence[str] = ("corp",)
    ends: Identity | Exception = field(
        default_factory=lambda: Identity("corp", "7f3a", "staff-7", (), 1)
    )
    return_to: str = "/"
    finished: list[tuple[str, dict[str, str], str]] = field(default_factory=list)

    async def begin(self, issuer: str, return_to: str) -> tuple[str, str]:
        if issuer not in self.issuers:
            raise NotFound("There is no such sign-in service here.")
        self.return_to = return_to
        return "https://issuer.example/authorize?state=s", "canary-browser"

    async def finish(
        self, issuer: str, said: Mapping[str, str], browser: str
    ) -> tuple[Identity, str]:
        self.finished.append((issuer, dict(said), browser))
        if isinstance(self.ends, Exception):
            raise self.ends
        return self.ends, self.return_to


@dataclass
class Site:
    """The application around the routes, and a browser that keeps cookies."""

    ledger: MemoryLedger
    sessions: RedisSessions
    directory: StaticDirectory
    login: ScriptedLogin
    browser: httpx.AsyncClient
    linked: bool = True

    async def principal_for(self, identity: Identity) -> Principal:
        if not self.linked:
            raise NotAuthenticated("Nobody here.", cause="no_principal", credential="oidc:corp")
        return Principal("staff-7", STAFF.roles, STAFF.groups, credential=identity.credential)

    async def sign_in(self, key: str = KEY, **form: str) -> httpx.Response:
        return await self.browser.post("/login", data={"key": key, **form}, headers=OURS)

    @property
    def cookie(self) -> str:
        return self.browser.cookies.get("__Host-sekisho", "")

    def events(self) -> list[tuple[str, str | None, dict[str, Any]]]:
        return [(event.type, event.principal, dict(event.data)) for event in self.ledger.events]


@pytest.fixture
async def site(valkey: Valkey, ledger: MemoryLedger) -> AsyncIterator[Site]:
    client: Redis = connect(valkey.url)
    sessions = RedisSessions(client, b"p" * 32, ttl_s=3600, idle_s=600)
    app = FastAPI()
    transport = httpx.ASGITransport(app=app, client=("192.0.2.7", 5))
    async with httpx.AsyncClient(transport=transport, base_url=HERE) as browser:
        one = Site(ledger, sessions, StaticDirectory(sessions), ScriptedLogin(), browser)
        reader = Reader(IdentitySettings(), HERE)
        refusals = Refusals(ledger, 5, lambda _: None, key_id=key_id, counted=lambda _: None)
        app.state.services = Services(
            holds=None,  # type: ignore[arg-type]
            ledger=ledger,
            log=None,  # type: ignore[arg-type]
            searches=None,  # type: ignore[arg-type]
            directory=one.directory,
            entrance=Entrance(reader, refusals),
            hold_limits=HoldLimits(),
        )
        app.state.sign_in = sign_in.SignIn(
            directory=one.directory,
            ledger=ledger,
            sessions=sessions,
            login=one.login,
            refusals=refusals,
            principal_for=one.principal_for,
            address=reader.address,
            public_url=HERE,
        )
        app.include_router(sign_in.router)
        app.include_router(sign_in.me_router)
        yield one
    await client.aclose()


# -- the page


async def test_the_page_offers_issuers_and_a_key(site: Site) -> None:
    """To everybody, without a session."""
    page = await site.browser.get("/login?return_to=/approvals/h-1")

    assert page.status_code == 200
    assert 'href="/login/corp?return_to=%2Fapprovals%2Fh-1"' in page.text
    assert 'name="key"' in page.text
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-frame-options"] == "DENY"
    assert "set-cookie" not in page.headers


@pytest.mark.parametrize("elsewhere", ["//evil.example", "https://evil.example", "/\\evil"])
async def test_the_page_leads_nowhere_else(site: Site, elsewhere: str) -> None:
    """A path of another site is as if none were given, in each of the three places."""
    page = await site.browser.get("/login", params={"return_to": elsewhere})
    assert "evil" not in page.text

    await site.browser.get("/login/corp", params={"return_to": elsewhere})
    assert site.login.return_to == "/login"

    answer = await site.sign_in(return_to=elsewhere)
    assert answer.headers["location"] == "/login"


async def test_who_is_signed_in_is_told_so(site: Site) -> None:
    """With the way out."""
    await site.sign_in()
    page = await site.browser.get("/login")

    assert "staff-7" in page.text
    assert 'action="/logout"' in page.text


async def test_an_old_cookie_just_shows_the_page(site: Site) -> None:
    """It is not recorded as an attempt."""
    site.browser.cookies.set("__Host-sekisho", "A" * 43, domain="gateway.example")

    assert 'name="key"' in (await site.browser.get("/login")).text
    assert site.events() == []


# -- by key


async def test_a_key_begins_a_session(site: Site) -> None:
    """The cookie is no key, and the event has the address but no secret."""
    answer = await site.sign_in(return_to="/approvals/h-1?x=1")

    assert (answer.status_code, answer.headers["location"]) == (303, "/approvals/h-1?x=1")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-sekisho=")
    for part in ("Path=/", "HttpOnly", "SameSite=Lax", "Secure"):
        assert part in cookie
    assert site.events() == [("session.signed_in", "staff-7", {"issuer": "api_key"})]
    assert site.ledger.events[0].payloads[0].exact == b"192.0.2.7"
    found = await site.sessions.find(site.cookie)
    assert found is not None
    assert (found.principal, found.credential) == ("staff-7", "k-1")


async def test_a_wrong_key_shows_the_page_again(site: Site) -> None:
    """With 401, recorded, without a cookie and without the key."""
    answer = await site.sign_in("sk-sekisho-canary-wrong")

    assert answer.status_code == 401
    assert "That is not known here." in answer.text
    assert 'name="key"' in answer.text
    assert "canary" not in answer.text
    assert "set-cookie" not in answer.headers
    assert [event[0] for event in site.events()] == ["credential.refused"]
    assert site.events()[0][2]["cause"] == "unknown"


async def test_too_many_wrong_keys_are_slowed_down_but_a_right_one_works(site: Site) -> None:
    """429 with the time to wait."""
    answers = [await site.sign_in("wrong") for _ in range(8)]

    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 3
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert (await site.sign_in()).status_code == 303


async def test_a_bearer_token_begins_no_session(site: Site) -> None:
    """It lives for minutes; the session would outlive it by hours."""
    answer = await site.sign_in("eyJ.a.token")

    assert answer.status_code == 401
    assert site.events()[0][2]["cause"] == "wrong_type"
    assert not site.cookie


async def test_signing_in_again_begins_anew(site: Site) -> None:
    """A token from before, planted or stolen, is worth nothing afterwards."""
    await site.sign_in()
    before = site.cookie
    await site.sign_in()

    assert site.cookie not in {"", before}
    assert await site.sessions.find(before) is None
    assert [event[2] for event in site.events()][1] == {"cause": "signed_in_again"}


async def test_a_planted_token_is_never_taken_over(site: Site) -> None:
    """Whatever a browser brings, the session gets a token of ours."""
    planted = "A" * 43
    site.browser.cookies.set("__Host-sekisho", planted, domain="gateway.example")
    answer = await site.sign_in()

    assert planted not in answer.headers["set-cookie"]
    assert await site.sessions.find(planted) is None


@pytest.mark.parametrize(
    "headers",
    [{}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "null"}],
)
async def test_another_site_cannot_sign_anybody_in(site: Site, headers: dict[str, str]) -> None:
    """Who is made to work in somebody else's session tells them what they ask."""
    answer = await site.browser.post("/login", data={"key": KEY}, headers=headers)

    assert answer.status_code == 403
    assert "cross_site" in answer.text
    assert not site.cookie
    assert site.events() == []


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b'{"key":"a"}', 400),
        ("multipart/form-data; boundary=x", b"--x--", 400),
        ("", b"key=a", 400),
        ("application/x-www-form-urlencoded", b"key=a&key=b", 400),
        ("application/x-www-form-urlencoded", b"a=1&b=2&c=3&d=4&e=5", 400),
        ("application/x-www-form-urlencoded", b"key", 400),
        ("application/x-www-form-urlencoded", b"key=%ff", 400),
        ("application/x-www-form-urlencoded", b"key=\xff", 400),
        ("application/x-www-form-urlencoded", b"key=" + b"a" * 5000, 413),
        ("application/x-www-form-urlencoded", b"key=", 401),
        ("application/x-www-form-urlencoded", b"other=a", 401),
        ("application/x-www-form-urlencoded; charset=utf-8", b"key=a", 401),
    ],
)
async def test_only_a_small_form_is_read(site: Site, kind: str, body: bytes, status: int) -> None:
    """Anything else is told what it is."""
    headers = {**OURS, "content-type": kind}
    answer = await site.browser.post("/login", content=body, headers=headers)

    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")


# -- by an issuer


async def test_the_browser_is_sent_to_the_issuer_with_a_cookie_for_the_way_back(
    site: Site,
) -> None:
    """A short-lived one, that no script reads."""
    answer = await site.browser.get("/login/corp?return_to=/approvals/h-1")

    assert answer.status_code == 303
    assert answer.headers["location"] == "https://issuer.example/authorize?state=s"
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-sekisho-login=canary-browser; Path=/; HttpOnly; SameSite=Lax")
    assert "Max-Age=600" in cookie
    assert site.login.return_to == "/approvals/h-1"


async def test_an_issuer_that_is_not_there_is_a_page(site: Site) -> None:
    """404, also on the way back."""
    answer = await site.browser.get("/login/nobody")

    assert answer.status_code == 404
    assert "no such sign-in service" in answer.text


async def test_the_way_back_begins_a_session(site: Site) -> None:
    """Under the principal that is linked, and the cookie of the way back is taken away."""
    await site.browser.get("/login/corp?return_to=/approvals/h-1")
    answer = await site.browser.get(BACK)

    assert (answer.status_code, answer.headers["location"]) == (303, "/approvals/h-1")
    assert site.login.finished == [
        ("corp", {"code": "canary-code", "state": "canary-state"}, "canary-browser")
    ]
    assert site.events() == [("session.signed_in", "staff-7", {"issuer": "corp"})]
    found = await site.sessions.find(site.cookie)
    assert found is not None
    assert found.credential == "oidc:corp"
    assert "__Host-sekisho-login" not in site.browser.cookies


async def test_a_refused_way_back_is_recorded_and_said(site: Site) -> None:
    """With a page that says to start again, and no session."""
    site.login.ends = NotAuthenticated(
        "This sign-in cannot be finished.", cause="login_unknown", credential="oidc:corp"
    )
    answer = await site.browser.get(BACK)

    assert answer.status_code == 401
    assert "cannot be finished" in answer.text
    assert "canary" not in answer.text
    assert site.events() == [
        (
            "credential.refused",
            None,
            {
                "cause": "login_unknown",
                "count": 1,
                "where": "sign-in",
                "credential": "oidc:corp",
            },
        )
    ]
    assert not site.cookie


async def test_a_stranger_with_a_good_token_is_refused_and_recorded(site: Site) -> None:
    """Nobody linked them, and the issuer does not provision."""
    site.linked = False
    answer = await site.browser.get(BACK)

    assert answer.status_code == 401
    assert site.events()[0][2]["cause"] == "no_principal"
    assert not site.cookie


@pytest.mark.parametrize("query", ["code=a&code=b&state=s", "&".join(f"a{n}=1" for n in range(20))])
async def test_a_way_back_that_says_a_thing_twice_is_not_understood(site: Site, query: str) -> None:
    """Which of two codes would be meant?"""
    answer = await site.browser.get(f"/login/corp/callback?{query}")

    assert answer.status_code == 400
    assert site.login.finished == []


@pytest.mark.parametrize("error", [Forbidden("Roles must not meet.", code="duties_conflict")])
async def test_who_may_not_come_in_is_told_why(site: Site, error: Exception) -> None:
    """As a page."""
    site.login.ends = error
    answer = await site.browser.get(BACK)

    assert answer.status_code == 403
    assert "duties_conflict" in answer.text


# -- out


async def test_signing_out_ends_the_session(site: Site) -> None:
    """On the server, not only in the browser; and it is recorded."""
    await site.sign_in()
    token = site.cookie
    answer = await site.browser.post("/logout", headers=OURS)

    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert await site.sessions.find(token) is None
    assert site.events()[-1] == ("session.signed_out", "staff-7", {"cause": "signed_out"})


async def test_another_site_cannot_sign_anybody_out(site: Site) -> None:
    """And a link cannot either."""
    await site.sign_in()

    assert (await site.browser.post("/logout")).status_code == 403
    assert (await site.browser.get("/logout")).status_code == 405
    assert await site.sessions.find(site.cookie) is not None


async def test_signing_out_twice_is_once(site: Site) -> None:
    """The second time there is nothing to record."""
    await site.browser.post("/logout", headers=OURS)
    assert site.events() == []


# -- what is down


async def test_without_the_ledger_nobody_signs_in(site: Site) -> None:
    """No record, no session; also when it was written and the reply was lost."""
    for fault in ("lose_before", "lose_after"):
        setattr(site.ledger, fault, 1)
        answer = await site.sign_in()

        assert answer.status_code == 503
        assert "set-cookie" not in answer.headers
    assert await site.sessions.end_all("staff-7") == 0


async def test_without_the_ledger_one_can_still_sign_out(site: Site) -> None:
    """The session ends first; that it was not recorded is said."""
    await site.sign_in()
    site.ledger.down = True

    assert (await site.browser.post("/logout", headers=OURS)).status_code == 503
    assert await site.sessions.find(site.cookie) is None


async def test_without_the_store_nobody_passes(site: Site, valkey: Valkey) -> None:
    """Signing in, out, and being signed in: 503, said within its deadline."""
    await site.sign_in()
    count = len(site.ledger.events)
    valkey.pause()
    try:
        answers = [
            await site.sign_in(),
            await site.browser.get("/login"),
            await site.browser.post("/logout", headers=OURS),
            await site.browser.get("/v1/me"),
        ]
    finally:
        valkey.unpause()

    assert [answer.status_code for answer in answers] == [503] * 4
    assert all("sessions_unavailable" in answer.text for answer in answers)
    assert len(site.ledger.events) == count


async def test_without_the_directory_nobody_signs_in(site: Site) -> None:
    """503 as a page, and nothing is recorded as refused."""
    site.directory.down = True
    answer = await site.sign_in()

    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert site.events() == []


# -- who am I


async def test_one_is_told_who_one_is(site: Site) -> None:
    """By key and by session alike."""
    by_key = await site.browser.get("/v1/me", headers={"authorization": f"Bearer {KEY}"})
    assert by_key.json() == {
        "id": "staff-7",
        "roles": ["employee", "reviewer"],
        "groups": ["sales"],
        "authentication": "api_key",
        "credential": "k-1",
        "owner": None,
        "stands_in_for": [],
        "scopes": ["ask", "review", "self"],
    }
    await site.sign_in()

    by_session = await site.browser.get("/v1/me")
    assert (by_session.json()["id"], by_session.json()["authentication"]) == ("staff-7", "session")
    assert by_session.headers["cache-control"] == "no-store"


async def test_nobody_is_nobody(site: Site) -> None:
    """401 in the shape of all errors, and recorded."""
    answer = await site.browser.get("/v1/me", headers={"x-api-key": "wrong"})

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert site.events()[0][0] == "credential.refused"


async def test_no_secret_gets_into_logs_errors_or_events(site: Site) -> None:
    """Keys, cookies, codes and states: good ones and bad ones."""
    said: list[httpx.Response] = []
    with capture_logs() as lines:
        said += [await site.sign_in(), await site.sign_in("sk-sekisho-canary-wrong")]
        said.append(await site.browser.get("/v1/me", headers={"x-api-key": "canary-wrong-key"}))
        await site.browser.get("/login/corp")
        said.append(await site.browser.get(BACK))
        site.login.ends = NotAuthenticated("No.", cause="login_unknown")
        said.append(await site.browser.get(BACK))
        token = site.cookie
        said.append(await site.browser.post("/logout", headers=OURS))

    for secret in ("canary", token):
        assert secret not in repr(lines)
        assert secret not in repr(site.ledger.events)
        assert not [answer for answer in said if secret in answer.text]
    assert lines
