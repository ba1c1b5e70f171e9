from __future__ import annotations

import asyncio
import datetime as dt
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters import diagnosis_identity
from sekisho.adapters.diagnosis_identity import certificate, issuers
from sekisho.adapters.finding import Finding
from sekisho.config.identity import IssuerSettings
from sekisho.config.sections import ServerSettings
from sekisho.web.tls import configured
from support.authority import DAY, Authority
from support.oidc import LoopbackIssuer
from support.tls_site import tls_site


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def issuer() -> AsyncIterator[LoopbackIssuer]:
    async with LoopbackIssuer() as one:
        yield one


def looked_at(**server: Any) -> Finding:
    (finding,) = certificate(ServerSettings(**server), configured)
    return finding


async def asked(*settings: IssuerSettings, **environ: str) -> list[Finding]:
    return await asyncio.to_thread(issuers, settings, environ)


@pytest.mark.parametrize(
    ("ends", "ok", "said", "mend"),
    [
        (40 * DAY + dt.timedelta(hours=1), True, "valid for 40 more days", ""),
        (29 * DAY, True, "valid for 28 more days", "renew it"),
        (-DAY, False, "expired at", "renew it"),
    ],
)
def test_a_certificate_says_how_long_it_is_good(
    authority: Authority, ends: dt.timedelta, *, ok: bool, said: str, mend: str
) -> None:
    """In the last month with what to do, without being wrong yet."""
    pair = authority.server(ends)
    finding = looked_at(tls_certificate=pair.certificate, tls_key=pair.key)
    assert (finding.part, finding.ok) == ("tls", ok)
    assert said in finding.said
    assert finding.mend.startswith(mend)
    assert bool(finding.mend) == bool(mend)


def test_a_certificate_of_tomorrow_is_wrong(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mostly it is the clock."""

    class Past(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Past:
            return cls(2020, 1, 1, tzinfo=tz)

    monkeypatch.setattr(diagnosis_identity, "datetime", Past)
    pair = authority.server()
    finding = looked_at(tls_certificate=pair.certificate, tls_key=pair.key)
    assert (finding.ok, "clock" in finding.mend) == (False, True)


def test_files_that_cannot_be_served_are_told(authority: Authority) -> None:
    """In the words with which serve refuses them."""
    pair, other = authority.server(), authority.client("other")
    absent = authority.folder / "none.pem"
    for files, said in (
        ({"tls_certificate": absent, "tls_key": pair.key}, "tls_certificate"),
        ({"tls_certificate": pair.certificate, "tls_key": absent}, "server.tls_key"),
        ({"tls_certificate": pair.certificate, "tls_key": other.key}, "belong together"),
    ):
        finding = looked_at(**files)
        assert (finding.part, finding.ok) == ("tls", False)
        assert said in finding.said
        assert finding.mend


def test_plain_http_has_no_certificate_to_look_at() -> None:
    """Nor issuers, where there are none."""
    assert list(certificate(ServerSettings(), configured)) == []
    assert issuers([], {}) == []


async def test_an_issuer_that_answers_is_well(issuer: LoopbackIssuer) -> None:
    """The document, its issuer and its keys."""
    (finding,) = await asked(issuer.settings())
    assert (finding.part, finding.ok, finding.mend) == ("issuer corp", True, "")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"issuer": "https://other.example"}, "of another issuer"),
        ({"jwks_uri": "http://elsewhere.example/jwks"}, "jwks_uri"),
    ],
)
async def test_an_issuer_that_a_worker_would_not_believe_is_wrong(
    issuer: LoopbackIssuer, said: dict[str, str], why: str
) -> None:
    """The same reasons, before anybody has tried to sign in."""
    issuer.said.update(said)
    (finding,) = await asked(issuer.settings())
    assert (finding.ok, why in finding.said) == (False, True)
    assert f"curl -sS {issuer.url}/.well-known/openid-configuration" in finding.mend


async def test_an_issuer_without_keys_is_wrong(issuer: LoopbackIssuer) -> None:
    """Nobody could be let in by it."""
    issuer.key_set = {"keys": []}
    (finding,) = await asked(issuer.settings())
    assert (finding.ok, "no key" in finding.said) == (False, True)


async def test_a_silent_issuer_costs_its_deadline_once(
    issuer: LoopbackIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are asked at the same time, and the others are told as they are."""
    monkeypatch.setattr(diagnosis_identity, "ISSUER_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        silent = [issuer.settings(id=name, url=url) for name in ("a", "b", "c")]
        began_s = asyncio.get_running_loop().time()
        found = await asked(*silent, issuer.settings())
        took_s = asyncio.get_running_loop().time() - began_s
    assert [finding.ok for finding in found] == [False, False, False, True]
    assert "does not answer within 0.3 s" in found[0].said
    assert took_s < 0.3 * 3


async def test_an_issuer_whose_certificate_is_not_trusted_is_wrong(authority: Authority) -> None:
    """With what to do about its authority."""
    with tls_site(authority.server(), {}) as port:
        settings = {"id": "corp", "url": f"https://127.0.0.1:{port}", "audience": "sekisho"}
        (finding,) = await asked(IssuerSettings.model_validate(settings))
    assert (finding.ok, "not trusted here" in finding.said) == (False, True)
    assert "SSL_CERT_FILE" in finding.mend


async def test_a_missing_secret_is_told_by_its_name(issuer: LoopbackIssuer) -> None:
    """Where people sign in: an issuer for tokens only needs none."""
    settings = issuer.settings(client_secret_env="CORP_SECRET")
    _, finding = await asked(settings)
    assert (finding.ok, finding.mend) == (False, "export CORP_SECRET=…")
    assert len(await asked(settings, CORP_SECRET="x")) == 1
    assert len(await asked(settings.model_copy(update={"client_id": None}))) == 1
