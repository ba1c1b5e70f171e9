"""No other site may make a browser that is signed in here do something.

A session comes along by itself with whatever a browser sends, so a request that changes something
has to show that a page of ours sent it: by `Sec-Fetch-Site`, which scripts cannot set, or in
browsers that do not send it, by `Origin`. One that shows neither is refused. Requests with a key or
token need none of this: no other site can add those.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from sekisho.errors import Forbidden

PATH_CHARS_MAX = 1_024  # a page with its filters
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_PORTS = {"http": 80, "https": 443}


def require_same_origin(method: str, headers: Mapping[str, str], public_url: str) -> None:
    """Raises Forbidden (`cross_site`) for an unsafe request that a page of ours did not send.

    `headers` by lower-case name. To be called wherever a session is what lets a request in.
    """
    if method in SAFE_METHODS:
        return
    site = headers.get("sec-fetch-site")
    if site is None:
        origin = headers.get("origin", "")
        good = origin != "" and _origin(origin) == _origin(public_url)
    else:
        good = site == "same-origin"
    if not good:
        raise Forbidden(
            "This request was not sent by a page of this gateway, so it was not carried out. "
            "Open the page here and try again.",
            code="cross_site",
        )


def _origin(url: str) -> tuple[str, str, int | None] | None:
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname or "", port)


def local_path(text: str) -> str | None:
    """`text` if it is a path on this site, as a browser reads it too; otherwise None."""
    if not text.startswith("/") or text.startswith("//") or len(text) > PATH_CHARS_MAX:
        return None
    # Browsers read a backslash as a slash and skip tabs and line ends.
    if "\\" in text or " " in text or not text.isascii() or not text.isprintable():
        return None
    return text
