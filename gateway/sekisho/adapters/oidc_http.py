"""How issuers are asked: one small JSON document at a time, over a client that trusts little.

No redirect is followed, no cookie is kept, the proxy settings of the environment are ignored, and
an answer that is compressed, late or larger than a limit is no answer. Certificates are checked
against the authorities of this machine, where an organisation puts its own.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import httpx

from sekisho.adapters.tls_trust import untrusted
from sekisho.config.kinds import is_loopback
from sekisho.content.strict_json import NotStrictJSON, parse

ANSWER_S = 5.0  # for a whole exchange; people wait for it at most once
ANSWER_BYTES_MAX = 262_144  # key sets with certificate chains have some ten thousand
ANSWER_DEPTH_MAX = 16
CONNECTIONS_MAX = 16
URL_CHARS_MAX = 2_048
_URL = re.compile(r"[!-~]+")  # printable ASCII without spaces


class IssuerSilent(Exception):
    """The issuer gave no answer that can be used; the text says why and quotes nothing of it."""


def open_client() -> httpx.AsyncClient:
    """A client for all issuers of a worker."""
    return httpx.AsyncClient(
        trust_env=False,
        follow_redirects=False,
        verify=ssl.create_default_context(),
        timeout=ANSWER_S,
        limits=httpx.Limits(
            max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX
        ),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        headers={
            "accept": "application/json",
            "accept-encoding": "identity",
            "user-agent": "sekisho",
        },
    )


def may_be_asked(url: object, *, by: str) -> bool:
    """Whether `url` is https and nothing odd.

    An issuer that is itself on this machine and without https may name others there; one that is
    elsewhere must not lead us to what listens here.
    """
    if not isinstance(url, str) or len(url) > URL_CHARS_MAX or not _URL.fullmatch(url):
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        odd = parts.username or parts.password or parts.fragment or parts.port == 0
    except ValueError:
        return False
    if not host or odd:
        return False
    if parts.scheme == "http":
        return by.startswith("http:") and is_loopback(host)
    return parts.scheme == "https"


async def ask(
    http: httpx.AsyncClient,
    url: str,
    *,
    form: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, Any]:
    """Status and JSON of the answer: GET, or POST where there is a form. Raises IssuerSilent."""
    try:
        async with (
            asyncio.timeout(ANSWER_S),
            http.stream(
                "GET" if form is None else "POST",
                url,
                content=None if form is None else form.encode(),
                headers=headers,
            ) as response,
        ):
            return response.status_code, parse(await _body(response), ANSWER_DEPTH_MAX)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError) as error:
        why = untrusted(error)
        if why:
            raise IssuerSilent(f"its certificate is not trusted here: {why}") from error
        raise IssuerSilent(f"no answer ({type(error).__name__})") from error
    except NotStrictJSON as error:
        raise IssuerSilent("the answer is not one JSON document") from error


async def _body(response: httpx.Response) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise IssuerSilent("the answer is compressed although it was asked not to be")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise IssuerSilent(f"the answer has more than {ANSWER_BYTES_MAX} bytes")
    return bytes(body)
