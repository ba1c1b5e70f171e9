"""One question to an OPA server over HTTP, by `opa-python-client`, and nothing else of it.

The client is kept for its Data API call and its health check. Around it stand the bounds that it
does not have: a certificate authority of one's own, no redirect, no cookie, no answer beyond a
size, no reading of numbers that JSON does not have, and the error body of OPA, which tells rules
that contradict each other from a server that broke. It is never asked to upload, rewrite or list
policies: what runs must be what was reviewed. Paths are constants, since it builds them by
replacing dots.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import orjson
from opa_client.opa_async import AsyncOpaClient

ANSWER_BYTES_MAX = 1024 * 1024  # a decision with 64 reasons of 1,000 characters is a tenth of it
CONNECTIONS_MAX = 64  # a worker rarely has more decisions in flight; the rest waits its turn
PACKAGE: Final = "sekisho"
RULE: Final = "decision"
ASKED: Final = "provenance=true&strict-builtin-errors=true"
"""Which bundle answered, and errors of builtins as errors: the embedded engine is strict too."""
_HEADERS = {"accept-encoding": "identity", "content-type": "application/json"}


class OpaRefused(Exception):
    """An answer with another status than 200. `code` and `inner` are OPA's own words for it."""

    def __init__(self, status: int, code: str, inner: frozenset[str]) -> None:
        super().__init__(f"OPA answered {status} {code}")
        self.status = status
        self.code = code
        self.inner = inner


class OpaUnreadable(Exception):
    """An answer that is too large, not JSON, or no object."""


@dataclass(frozen=True, slots=True)
class OpaPlace:
    """Where the server is and how it is talked to.

    `url` has scheme, host and port only. `token` is sent as a bearer token. `ca_file` replaces the
    authorities of this machine; `client_pair` is a certificate and its key, as PEM files.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    client_pair: tuple[Path, Path] | None = None


class OpaChannel(AsyncOpaClient):  # type: ignore[misc]  # it ships no types
    """The client, with its session and its one exchange replaced by bounded ones.

    Opened once by `open` in the event loop that uses it. Retries nothing: that is the adapter's.
    """

    def __init__(self, place: OpaPlace, timeout_s: float) -> None:
        parts = urlsplit(place.url)
        host = parts.hostname or ""
        secure = parts.scheme == "https"
        super().__init__(
            host=f"[{host}]" if ":" in host else host,
            port=parts.port or (443 if secure else 80),
            ssl=secure,
            token=place.token,
            retries=0,
            timeout=timeout_s,
        )
        self._place = place
        self._question = f"{self.root_url}/data/{PACKAGE}/{RULE}"

    async def open(self) -> None:
        """Make the session; nothing is sent yet. Raises OSError for files that cannot be read."""
        if self._session is None:
            await self._init_session()

    async def ask(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """OPA's whole answer about `document`. Raises whatever `cause_of` has a word for."""
        body: dict[str, Any] = await self.query_rule(document, PACKAGE, RULE)
        return body

    async def _init_session(self) -> None:
        trust = await asyncio.to_thread(_trust, self._place) if self.ssl else True
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust, limit=CONNECTIONS_MAX),
            headers={**(self.headers or {}), **_HEADERS},
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self.timeout),
            auto_decompress=False,
            trust_env=False,
        )

    @asynccontextmanager
    async def _request(self, method: str, url: str, **sent: Any) -> AsyncIterator[_Answer]:
        """The client calls this for everything it does; here it can do one thing."""
        if (method, url) != ("POST", self._question):
            message = f"this channel asks one question, not {method} {url}"
            raise RuntimeError(message)
        if self._session is None:
            message = "the channel is not open"
            raise RuntimeError(message)
        async with self._session.post(
            f"{url}?{ASKED}", data=orjson.dumps(sent["json"]), allow_redirects=False
        ) as response:
            body = await _bounded(response)
        yield _Answer(response.status, body)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the client expects of a response."""

    status: int
    body: bytes

    def raise_for_status(self) -> None:
        """Raises OpaRefused unless it is 200."""
        if self.status != 200:  # noqa: PLR2004 - the one good answer
            said = _object(self.body)
            errors = said.get("errors")
            inner = errors if isinstance(errors, list) else []
            codes = (str(one.get("code", "")) for one in inner if isinstance(one, dict))
            raise OpaRefused(self.status, str(said.get("code", "")), frozenset(codes))

    async def json(self) -> dict[str, Any]:
        """The body. Raises OpaUnreadable."""
        found = _parsed(self.body)
        if not isinstance(found, dict):
            message = "the answer is no object"
            raise OpaUnreadable(message)
        return found


def cause_of(error: BaseException) -> str:
    """One word for why there was no answer; see docs/howto/opa-server.md."""
    if isinstance(error, OpaRefused):
        return "refused" if error.status in {401, 403} else f"status_{error.status}"
    if isinstance(error, OpaUnreadable):
        return "unreadable"
    if isinstance(error, ssl.SSLError | aiohttp.ClientSSLError):
        return "untrusted"
    if isinstance(error, TimeoutError):  # aiohttp's own are of this kind too
        return "late"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "unreachable"
    if is_reset(error):
        return "reset"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "cut"
    return "broken"


def is_reset(error: BaseException) -> bool:
    """Whether a connection ended before any answer: a kept one that the server closed meanwhile."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return False
    return isinstance(error, aiohttp.ServerDisconnectedError) or (
        isinstance(error, OSError) and error.errno in {errno.ECONNRESET, errno.EPIPE}
    )


def _trust(place: OpaPlace) -> ssl.SSLContext:
    trust = ssl.create_default_context(cafile=place.ca_file)
    if place.client_pair is not None:
        trust.load_cert_chain(*place.client_pair)
    return trust


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    parts, left = [], ANSWER_BYTES_MAX
    while part := await response.content.readany():
        parts.append(part)
        left -= len(part)
        if left < 0:
            message = f"the answer is larger than {ANSWER_BYTES_MAX} bytes"
            raise OpaUnreadable(message)
    return b"".join(parts)


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        message = "the answer is no JSON"
        raise OpaUnreadable(message) from error


def _object(body: bytes) -> dict[str, Any]:
    """What an error says of itself; nothing if that cannot be read."""
    try:
        found = _parsed(body)
    except OpaUnreadable:
        return {}
    return found if isinstance(found, dict) else {}
