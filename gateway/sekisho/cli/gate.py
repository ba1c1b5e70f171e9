"""Speaks to a running gateway over HTTP on behalf of one person (httpx).

The key comes from SEKISHO_KEY or a file, never from the command line: any account of a machine can
read the arguments of its processes.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from sekisho.adapters.tls_trust import untrusted
from sekisho.errors import SekishoError

DEFAULT_URL = "http://127.0.0.1:8080"
TIMEOUT_S = 15.0  # longer than any deadline inside the gateway


class GateFailed(SekishoError):
    """The gateway said no, or nothing."""

    code = "gate_failed"


def add_gate(parser: argparse.ArgumentParser) -> None:
    """The options that say which gateway, and as whom."""
    parser.add_argument("--url", help=f"the gateway (else SEKISHO_URL, else {DEFAULT_URL})")
    add_key(parser)


def add_key(parser: argparse.ArgumentParser) -> None:
    """The option that says as whom."""
    parser.add_argument(
        "--key-file", type=Path, metavar="FILE", help="holds your key (else SEKISHO_KEY)"
    )


class Gate:
    """One person's connection to a gateway."""

    def __init__(self, url: str, key: str, transport: httpx.BaseTransport | None = None) -> None:
        self._client = httpx.Client(
            base_url=url.rstrip("/"),
            headers={"authorization": f"Bearer {key}"},
            timeout=TIMEOUT_S,
            follow_redirects=False,
            transport=transport,
        )
        self._url = url

    def get(self, path: str, **query: str) -> Any:
        """The JSON at `path`. Raises GateFailed with what the gateway said."""
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send `body`; the JSON that comes back. Raises GateFailed."""
        return self._ask("POST", path, json=body)

    def put(self, path: str, body: dict[str, Any]) -> Any:
        """As `post`, for what may be said again."""
        return self._ask("PUT", path, json=body)

    def send(self, path: str, body: bytes | dict[str, Any]) -> Any:
        """As `post`; bytes go as they are."""
        if isinstance(body, dict):
            return self.post(path, body)
        kind = {"content-type": "application/json"}
        return self._ask("POST", path, content=body, headers=kind)

    def delete(self, path: str) -> None:
        """Take back what is at `path`. Raises GateFailed."""
        self._ask("DELETE", path)

    def lines(self, path: str, last_id: str = "") -> Iterator[str]:
        """The lines of an event stream as they come. Raises GateFailed when it breaks off."""
        headers = {"last-event-id": last_id} if last_id else {}
        try:
            with self._client.stream("GET", path, headers=headers) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise GateFailed(f"The gateway answered {answer.status_code}.")
                yield from answer.iter_lines()
        except httpx.HTTPError as error:
            raise GateFailed(f"{self._url} broke off ({type(error).__name__}).") from error

    def _ask(self, method: str, path: str, **what: Any) -> Any:
        try:
            answer = self._client.request(method, path, **what)
        except httpx.TransportError as error:
            why = untrusted(error)
            if why:
                raise GateFailed(
                    f"The certificate of {self._url} is not trusted here: {why}. If a private "
                    "authority signed it, name that authority's PEM file in SSL_CERT_FILE."
                ) from error
            raise GateFailed(
                f"{self._url} does not answer ({type(error).__name__}). Is `sekisho serve` "
                "running there? Set --url or SEKISHO_URL."
            ) from error
        if answer.status_code == httpx.codes.NO_CONTENT:
            return None
        try:
            said = answer.json()
        except ValueError as error:
            raise GateFailed(
                f"{self._url} answered {answer.status_code} without JSON: is it a Sekisho gateway?"
            ) from error
        if answer.is_success:
            return said
        raise GateFailed(_message(said, answer.status_code))


def connect(options: argparse.Namespace) -> Gate:
    """The gateway and person that options and environment name. Raises GateFailed."""
    url = options.url or os.environ.get("SEKISHO_URL") or DEFAULT_URL
    if not url.startswith(("http://", "https://")):
        raise GateFailed(f"{url!r} is no URL: it must begin with http:// or https://.")
    return Gate(url, key_of(options))


def key_of(options: argparse.Namespace) -> str:
    """The key of whoever runs the command. Raises GateFailed."""
    key = os.environ.get("SEKISHO_KEY", "")
    if options.key_file is not None:
        try:
            key = options.key_file.read_text().strip()
        except OSError as error:
            raise GateFailed(f"{options.key_file} cannot be read: {error.strerror}.") from error
    if not key or not key.isascii() or not key.isprintable():
        raise GateFailed("Your key is needed: put it into SEKISHO_KEY, or name a --key-file.")
    return key


def _message(said: Any, status: int) -> str:
    error = said.get("error") if isinstance(said, dict) else None
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        return f"{error['message']} ({error.get('code') or status})"
    return f"The gateway answered {status}."
