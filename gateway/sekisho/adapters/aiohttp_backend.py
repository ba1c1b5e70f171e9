"""The way out: one HTTP client session per backend, built on aiohttp.

Sends exactly the bytes it is given, with the gateway's own credential and none of the client's
headers. There is no cookie jar, so nothing a backend sets reaches a client or the next call. It
never retries and never follows a redirect: either would be another sending, and each sending needs
an intent of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp

from sekisho.backends.profile import Profile
from sekisho.errors import BackendFailed, BackendTimedOut

_REDIRECTS = range(300, 400)

RESPONSE_HEADER_BYTES_MAX = 16_384  # a backend is trusted with answers, not with our memory
LIST_BYTES_MAX = 2 * 1024 * 1024  # the longest lists have some hundred models, with descriptions
USER_AGENT = "sekisho"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One configured backend; `api_key` is empty where the backend wants none."""

    id: str
    profile: Profile
    base_url: str
    api_key: str
    timeout_connect_s: float
    timeout_read_s: float
    keepalive_s: float
    concurrency: int


class AiohttpReply:
    """An answer under way."""

    def __init__(self, response: aiohttp.ClientResponse, backend: str) -> None:
        self._response = response
        self._backend = backend
        self.status = response.status
        self.headers: Mapping[str, str] = {
            name.lower(): value for name, value in response.headers.items()
        }

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises BackendFailed when the backend breaks off."""
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except TimeoutError as error:
            message = f"The backend {self._backend} stopped answering half way."
            raise BackendTimedOut(message) from error
        except (aiohttp.ClientError, OSError) as error:
            message = f"The backend {self._backend} broke off its answer."
            raise BackendFailed(message, code="backend_cut") from error

    async def close(self) -> None:
        """Drop the connection if the answer was not read to its end: this cancels it there."""
        self._response.close()


class AiohttpBackend:
    """Implements the port Backend for all configured backends of a worker."""

    def __init__(self, endpoints: Mapping[str, Endpoint]) -> None:
        self._endpoints = endpoints
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def open(self) -> None:
        """Create the sessions; must run in the loop that will use them."""
        for endpoint in self._endpoints.values():
            self._sessions[endpoint.id] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=endpoint.concurrency, keepalive_timeout=endpoint.keepalive_s
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    connect=endpoint.timeout_connect_s,
                    sock_connect=endpoint.timeout_connect_s,
                    sock_read=endpoint.timeout_read_s,
                ),
                headers=_headers(endpoint),
                auto_decompress=False,
                trust_env=False,
                max_field_size=RESPONSE_HEADER_BYTES_MAX,
                skip_auto_headers=("accept-encoding",),
            )

    async def close(self) -> None:
        """Close all sessions and what still runs on them."""
        await asyncio.gather(*(session.close() for session in self._sessions.values()))
        self._sessions.clear()

    def path(self, backend: str, endpoint: str) -> str:
        """Where `backend` wants requests of our endpoint name, relative to its base URL."""
        return self._endpoints[backend].profile.paths[endpoint]

    async def listed_models(self, backend: str) -> bytes:
        """The backend's own list of models. Raises BackendFailed; the caller has the deadline."""
        session, path = self._sessions.get(backend), self._endpoints[backend].profile.paths
        if session is None or "models" not in path:
            raise BackendFailed(f"The backend {backend} has no list of models.")
        url = self._endpoints[backend].base_url.rstrip("/") + path["models"]
        body = bytearray()
        try:
            async with session.get(url, allow_redirects=False) as response:
                encoding = response.headers.get("content-encoding", "identity")
                if response.status != HTTPStatus.OK or encoding != "identity":
                    raise BackendFailed(f"The backend {backend} answered {response.status}.")
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > LIST_BYTES_MAX:
                        raise BackendFailed(f"The list of the backend {backend} is too long.")
        except (aiohttp.ClientError, OSError) as error:
            raise BackendFailed(f"The backend {backend} could not be reached.") from error
        return bytes(body)

    async def send(
        self, backend: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> AiohttpReply:
        """See the port. A redirect or a compressed answer is refused: neither was asked for."""
        session = self._sessions.get(backend)
        if session is None:
            message = f"The backend {backend} is not configured on this worker."
            raise BackendFailed(message)
        url = self._endpoints[backend].base_url.rstrip("/") + path
        try:
            response = await session.post(url, data=body, headers=headers, allow_redirects=False)
        except TimeoutError as error:
            message = f"The backend {backend} did not answer in time. Try again later."
            raise BackendTimedOut(message) from error
        except aiohttp.ServerDisconnectedError as error:
            message = f"The backend {backend} closed the connection before it answered."
            raise BackendFailed(message, code="backend_disconnected") from error
        except (aiohttp.ClientError, OSError) as error:
            message = f"The backend {backend} could not be reached. Try again later."
            raise BackendFailed(message, code="backend_unreachable") from error
        if response.status in _REDIRECTS:
            response.close()
            message = f"The backend {backend} answered with a redirect, which is never followed."
            raise BackendFailed(message, code="backend_redirected")
        if response.headers.get("content-encoding", "identity") != "identity":
            response.close()
            message = f"The backend {backend} compressed its answer although it was asked not to."
            raise BackendFailed(message, code="backend_malformed")
        return AiohttpReply(response, backend)


def _headers(endpoint: Endpoint) -> dict[str, str]:
    headers = {
        "content-type": "application/json",
        "accept-encoding": "identity",
        "user-agent": USER_AGENT,
    }
    if endpoint.api_key:
        match endpoint.profile.auth:
            case "bearer":
                headers["authorization"] = f"Bearer {endpoint.api_key}"
            case "raw":
                headers["authorization"] = endpoint.api_key
            case "api-key":
                headers["api-key"] = endpoint.api_key
    return headers
