"""The cookie that holds a session, and the one that ties a sign-in under way to its browser.

With https its name begins with `__Host-`, which a browser keeps from being set by another host of
the same domain or without encryption. Two cookies of one name are no cookie: somebody put one
there.
"""

from __future__ import annotations

from collections.abc import Iterable

SESSION = "sekisho"
LOGIN = "sekisho-login"
LOGIN_S = 600  # as long as a sign-in under way is kept


def cookie_name(public_url: str, kind: str = SESSION) -> str:
    """The cookie's name at this address."""
    return f"__Host-{kind}" if _is_secure(public_url) else kind


def read_cookie(headers: Iterable[str], name: str) -> str:
    """The value in the `cookie` headers of a request, or ""."""
    found = {
        value.strip()
        for header in headers
        for part in header.split(";")
        for key, _, value in [part.partition("=")]
        if key.strip() == name
    }
    return found.pop() if len(found) == 1 else ""


def set_cookie(
    public_url: str, value: str, *, kind: str = SESSION, age_s: int | None = None
) -> str:
    """The header that keeps it until `age_s` or until the browser closes; 0 takes it away.

    `SameSite=Lax`, because the way back from an issuer is a link from another site.
    """
    parts = [f"{cookie_name(public_url, kind)}={value}", "Path=/", "HttpOnly", "SameSite=Lax"]
    if _is_secure(public_url):
        parts.append("Secure")
    if age_s is not None:
        parts.append(f"Max-Age={age_s}")
    return "; ".join(parts)


def _is_secure(public_url: str) -> bool:
    return public_url.startswith("https://")
