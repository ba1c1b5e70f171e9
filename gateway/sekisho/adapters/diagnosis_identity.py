"""What is wrong with the ways in: the certificate of our own TLS, and the issuers of [[issuers]].

Issuers are asked as a worker asks them, all at once and each with one deadline.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx
from cryptography.x509 import load_pem_x509_certificates

from sekisho.adapters.finding import Finding
from sekisho.adapters.oidc_http import IssuerSilent, open_client
from sekisho.adapters.oidc_keys import DISCOVERY, IssuerKeys
from sekisho.adapters.tls_trust import AUTHORITY, untrusted
from sekisho.config.identity import IssuerSettings
from sekisho.config.sections import ServerSettings
from sekisho.errors import SekishoError

ISSUER_S = 3.0  # who waits for sign-in waits no longer
RENEW_DAYS = 30  # most authorities' tools renew by then

LoadTLS = Callable[[ServerSettings], object]
"""Loads what [server] names as `serve` does; raises SekishoError with the reason."""


def certificate(server: ServerSettings, load_tls: LoadTLS) -> Iterator[Finding]:
    """Whether TLS can be served with these files, and for how long."""
    if server.tls_certificate is None:
        return
    try:
        load_tls(server)
        yield _dates(server.tls_certificate)
    except SekishoError as error:
        mend = "set [server] tls_certificate, tls_key and tls_client_ca to files that fit"
        yield Finding("tls", ok=False, said=error.message, mend=mend)


def _dates(path: Path) -> Finding:
    try:
        chain = load_pem_x509_certificates(path.read_bytes())
    except ValueError:
        said, look = f"{path} has no dates that can be read", f"openssl x509 -in {_quoted(path)}"
        return Finding("tls", ok=False, said=said, mend=look)
    now = datetime.now(UTC)
    begins = max(one.not_valid_before_utc for one in chain)
    ends = min(one.not_valid_after_utc for one in chain)
    renew = f"renew it, then restart serve; look: openssl x509 -noout -dates -in {_quoted(path)}"
    if now < begins:
        said = f"{path} is valid from {begins:%Y-%m-%d %H:%M} UTC only"
        return Finding("tls", ok=False, said=said, mend="set the machine's clock, or wait")
    if now > ends:
        said = f"{path} expired at {ends:%Y-%m-%d %H:%M} UTC"
        return Finding("tls", ok=False, said=said, mend=renew)
    days = (ends - now).days
    said = f"{path} is valid for {days} more days, until {ends:%Y-%m-%d}"
    return Finding("tls", ok=True, said=said, mend=renew if days < RENEW_DAYS else "")


def issuers(settings: Sequence[IssuerSettings], environ: Mapping[str, str]) -> list[Finding]:
    """Each issuer as it is found now, and whether the secret for signing in there is known."""
    if not settings:
        return []
    asked = asyncio.run(_asked(settings))
    secrets = (_secret(issuer, environ) for issuer in settings)
    return [*asked, *(finding for finding in secrets if finding is not None)]


async def _asked(settings: Sequence[IssuerSettings]) -> list[Finding]:
    async with open_client() as http:
        return await asyncio.gather(*(_issuer(issuer, http) for issuer in settings))


async def _issuer(issuer: IssuerSettings, http: httpx.AsyncClient) -> Finding:
    part = f"issuer {issuer.id}"
    look = f"curl -sS {_quoted(issuer.url + DISCOVERY)} and correct the issuer, or its url here"
    try:
        async with asyncio.timeout(ISSUER_S):
            found = await IssuerKeys(issuer, http).fetch()
    except TimeoutError:
        said = f"{issuer.url} does not answer within {ISSUER_S:g} s"
        return Finding(part, ok=False, said=said, mend=look)
    except IssuerSilent as error:
        mend = AUTHORITY if untrusted(error) else look
        return Finding(part, ok=False, said=f"{issuer.url}: {error}", mend=mend)
    if not found.keys:
        said = f"{issuer.url} publishes no key that can be used, so no token of it is accepted"
        return Finding(part, ok=False, said=said, mend=look)
    return Finding(part, ok=True, said=f"{issuer.url} answers, with {len(found.keys)} keys")


def _secret(issuer: IssuerSettings, environ: Mapping[str, str]) -> Finding | None:
    name = issuer.secret_env
    if name is None or environ.get(name):
        return None
    said = f"{name} is not set, so nobody can sign in there"
    return Finding(f"issuer {issuer.id}", ok=False, said=said, mend=f"export {name}=…")


def _quoted(what: object) -> str:
    return shlex.quote(str(what))
