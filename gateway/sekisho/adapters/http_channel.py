"""Brings notifications to a chat system or a program over HTTP, and trusts it with little.

No redirect is followed, no cookie kept, no proxy of the environment used; an answer is read up to
a limit and within the deadline. The address is a secret: it is in no log, no error and no event.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Collection
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from sekisho.adapters.chat_formats import judge, posted
from sekisho.adapters.notification_words import say
from sekisho.adapters.tls_trust import untrusted
from sekisho.adapters.webhook_signature import signed
from sekisho.config.kinds import is_loopback
from sekisho.model.notification import Notification, NotSent
from sekisho.ports import Clock

ANSWER_BYTES_MAX = 16_384  # "ok", or an object with a code
URL_CHARS_MAX = 2_048
_URL = re.compile(r"[!-~]+")  # printable ASCII without spaces
_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Target:
    """Where a channel is and with what it is spoken to. Never printed: most of it is secret."""

    kind: str
    url: str = field(repr=False)
    language: str = "en"
    secret: str = field(default="", repr=False)
    keys: tuple[bytes, ...] = field(default=(), repr=False)
    ca_file: Path | None = None


def fault_of(url: str, http_hosts: Collection[str]) -> str:
    """Why this may not be the address of a channel; "" if it may. Quotes nothing of it."""
    if len(url) > URL_CHARS_MAX or not _URL.fullmatch(url):
        return "is not one address"
    try:
        parts = urlsplit(url)
        host, odd = parts.hostname or "", parts.username or parts.password or parts.port == 0
    except ValueError:
        return "is not one address"
    if not host or odd or parts.fragment:
        return "must be https://, a host, a path and nothing odd"
    if parts.scheme == "https":
        return ""
    near = is_loopback(host) or host in {one.lower() for one in http_hosts}
    if parts.scheme != "http" or not near:
        return "must begin with https://, unless its host is in [notify] http_hosts"
    return ""


class HttpChannel:
    """The courier of one channel; keeps one client. See the port Courier."""

    def __init__(self, target: Target, clock: Clock, public_url: str, deadline_s: float) -> None:
        self._target = target
        self._clock = clock
        self._public_url = public_url
        self._deadline_s = deadline_s
        self._client: httpx.AsyncClient | None = None

    async def send(self, notification: Notification) -> None:
        """See Courier."""
        target, now_us = self._target, self._clock.now_us()
        said = say(notification, target.language, self._public_url, now_us)
        message = posted(
            target.kind,
            notification,
            said,
            secret=target.secret,
            now_us=now_us,
            language=target.language,
        )
        headers = {"content-type": "application/json; charset=utf-8"}
        if target.keys:
            now_s = now_us // _SECOND_US
            headers |= signed(target.keys, notification.id, now_s, message.body)
        await self._post(_with(target.url, message.query), message.body, headers)

    async def close(self) -> None:
        """See Courier."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> None:
        try:
            client = self._open()
            async with (
                asyncio.timeout(self._deadline_s),
                client.stream("POST", url, content=body, headers=headers) as response,
            ):
                answer = await _read(response)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError) as error:
            # From nothing: what httpx says of a request has its address in it.
            raise NotSent(_why(error)) from None
        judge(
            self._target.kind, response.status_code, response.headers.get("retry-after", ""), answer
        )

    def _open(self) -> httpx.AsyncClient:
        """Made at the first message, so that a CA file that is missing stops this channel only."""
        if self._client is None:
            trusted = ssl.create_default_context(
                cafile=None if self._target.ca_file is None else str(self._target.ca_file)
            )
            self._client = httpx.AsyncClient(
                trust_env=False,
                follow_redirects=False,
                verify=trusted,
                timeout=self._deadline_s,
                limits=httpx.Limits(max_connections=1, keepalive_expiry=5),
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
                headers={"accept-encoding": "identity", "user-agent": "sekisho"},
            )
        return self._client


async def _read(response: httpx.Response) -> bytes:
    """The beginning of the answer: what is longer is no answer of a chat system."""
    if response.headers.get("content-encoding", "identity") != "identity":
        return b""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise NotSent("answer_too_long")
    return bytes(body)


def _with(url: str, query: str) -> str:
    if not query:
        return url
    return f"{url}{'&' if urlsplit(url).query else '?'}{query}"


def _why(error: Exception) -> str:
    if untrusted(error):
        return "untrusted_certificate"
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "timeout"
    if isinstance(error, httpx.ConnectError):
        return "unreachable"
    return "no_answer"
