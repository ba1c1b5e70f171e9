"""The first thing shown decides, and each kind of proof goes to whoever can check it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from sekisho.adapters.credentials import Credentials
from sekisho.errors import DirectoryUnavailable, NotAuthenticated, SekishoError, Unavailable
from sekisho.model.identity import Identity
from sekisho.model.principal import Authentication, Principal, Shown

IDENTITY = Identity("corp", "s-1", "staff-7", (), 1)
KEY = "sk-sekisho-abcdefgh-" + "A" * 43


def somebody(name: str) -> Principal:
    return Principal(name, frozenset(), frozenset())


@dataclass
class Doors:
    """Every checker there is, each noting that it was asked; any may fail."""

    asked: list[str] = field(default_factory=list)
    fails: SekishoError | None = None

    def _note(self, what: str) -> None:
        self.asked.append(what)
        if self.fails is not None:
            raise self.fails

    def by_key(self, secret: str) -> Principal:
        self._note(f"key {secret}")
        return somebody("by-key")

    def by_id(self, principal: str, credential: str, how: Authentication) -> Principal:
        self._note(f"id {principal} {credential} {how}")
        return somebody(principal)

    def by_session(self, principal: str, credential: str, begun_us: int) -> Principal:
        self._note(f"signed in {principal} {credential} {begun_us}")
        return somebody(principal)

    async def verify(self, token: str) -> Identity:
        self._note(f"token {token}")
        return IDENTITY

    async def principal_of(self, session: str) -> tuple[str, str, int] | None:
        self._note(f"session {session}")
        return None if session == "over" else ("staff-7", "oidc:corp", 7)

    async def principal_for(self, identity: Identity, how: Authentication) -> Principal:
        self._note(f"identity {identity.subject} {how}")
        return somebody("by-token")

    async def named(self, name: str, groups: tuple[str, ...], issued_us: int) -> Principal:
        self._note(f"named {name} {groups} {issued_us}")
        return somebody("by-header")

    def certified(self, subject: str) -> Principal:
        self._note(f"certificate {subject}")
        return somebody("by-certificate")


def credentials(
    doors: Doors, *, tokens: bool = True, sessions: bool = True, asserts: bool = False
) -> Credentials:
    every = cast("Any", doors)
    return Credentials(
        every,
        every,
        every if tokens else None,
        every if sessions else None,
        asserts_tokens=asserts,
        now_us=lambda: 9,
    )


async def test_a_key_is_looked_up_and_nothing_else_is_asked() -> None:
    """Also when everything else is shown beside it."""
    doors = Doors()
    shown = Shown(KEY, "", "staff-8", (), "CN=x", "cookie")
    assert "by-key" == (await credentials(doors).find(shown)).id
    assert [f"key {KEY}"] == doors.asked


@pytest.mark.parametrize("cause", ["unknown", "expired"])
async def test_a_wrong_secret_is_refused_beside_a_good_session(cause: str) -> None:
    """Nobody is taken for somebody else than the credential they meant."""
    doors = Doors(fails=NotAuthenticated("no", cause=cause))
    with pytest.raises(NotAuthenticated) as caught:
        await credentials(doors).find(Shown(secret=KEY, session="good", asserted="staff-8"))
    assert cause == caught.value.cause
    assert 1 == len(doors.asked)


async def test_any_other_secret_is_a_token_if_there_is_an_issuer() -> None:
    """Without one, it is a key of the wrong form."""
    doors = Doors()
    assert "by-token" == (await credentials(doors).find(Shown(secret="a.b.c"))).id
    assert ["token a.b.c", "identity s-1 oidc"] == doors.asked
    doors = Doors()
    await credentials(doors, tokens=False).find(Shown(secret="a.b.c"))
    assert ["key a.b.c"] == doors.asked


async def test_a_session_names_a_principal_and_nothing_more() -> None:
    """Roles come from the directory; one that is over is nobody."""
    doors = Doors()
    assert "staff-7" == (await credentials(doors).find(Shown(session="good"))).id
    assert "signed in staff-7 oidc:corp 7" == doors.asked[-1]
    with pytest.raises(NotAuthenticated) as caught:
        await credentials(doors).find(Shown(session="over"))
    assert ("session_over", "session_over") == (caught.value.cause, caught.value.code)


async def test_who_signed_in_is_told_of_signing_in_and_of_no_key() -> None:
    """Whatever ended it; the record keeps the cause and what they signed in with."""
    said = NotAuthenticated("This API key is not known.", cause="no_principal", credential="oidc:c")
    sessions = Doors()
    with pytest.raises(NotAuthenticated) as caught:
        await Credentials(
            cast("Any", Doors(fails=said)),
            cast("Any", sessions),
            None,
            cast("Any", sessions),
            asserts_tokens=False,
            now_us=lambda: 9,
        ).find(Shown(session="good"))
    error = caught.value
    assert ("no_principal", "oidc:c", "session_over") == (error.cause, error.credential, error.code)
    assert "/login" in error.message
    assert "key" not in error.message


async def test_what_a_peer_asserts_is_a_name_or_a_token_as_configured() -> None:
    """A bare name is never believed where a signed token is asked for."""
    doors = Doors()
    await credentials(doors).find(Shown(asserted="staff-8", asserted_groups=("sales",)))
    assert ["named staff-8 ('sales',) 9"] == doors.asked
    doors = Doors()
    await credentials(doors, asserts=True).find(Shown(asserted="staff-8"))
    assert "token staff-8" == doors.asked[0]
    with pytest.raises(NotAuthenticated):
        await credentials(Doors(), tokens=False, asserts=True).find(Shown(asserted="staff-8"))


async def test_a_certificate_comes_last() -> None:
    """It says which machine is there; a name beside it says for whom."""
    doors = Doors()
    await credentials(doors).find(Shown(certificate="CN=x"))
    assert ["certificate CN=x"] == doors.asked


async def test_nothing_shown_is_nobody() -> None:
    """With words that say what to do."""
    doors = Doors()
    with pytest.raises(NotAuthenticated, match="sk-sekisho") as caught:
        await credentials(doors).find(Shown())
    assert ("missing", []) == (caught.value.cause, doors.asked)


@pytest.mark.parametrize(
    "shown", [Shown(secret="a.b.c"), Shown(session="good"), Shown(asserted="x"), Shown(secret=KEY)]
)
async def test_a_part_that_is_down_lets_nobody_in(shown: Shown) -> None:
    """And is not taken for a wrong credential."""
    with pytest.raises(Unavailable):
        await credentials(Doors(fails=DirectoryUnavailable("down"))).find(shown)
