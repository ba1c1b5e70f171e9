"""The one table from errors of the line to what a client gets: status, body, headers.

Bodies have the OpenAI shape, so every SDK raises its own exception with our message in it. Whether
a client should try again is said by `x-should-retry`, because SDKs retry some statuses by
themselves: an exchange that people must answer is never helped by sending it again.
"""

from __future__ import annotations

from typing import Any

import orjson

from sekisho.errors import (
    ApprovalPending,
    BackendFailed,
    BadRequest,
    DispatchUnknown,
    HoldDenied,
    InternalFault,
    NotAuthenticated,
    SekishoError,
    TooLarge,
    TooSlow,
    Unavailable,
)

RETRY_AFTER_S = 2  # long enough for a restart of a part, short enough for a person to wait
_NEVER_RETRY = (ApprovalPending, HoldDenied, DispatchUnknown, BadRequest, InternalFault)

Headers = list[tuple[bytes, bytes]]


def problem(
    error: SekishoError,
    *,
    exchange: str | None = None,
    approval: dict[str, Any] | None = None,
    retry: bool | None = None,
) -> tuple[int, Headers, bytes]:
    """Status, headers and body for `error`. `approval` describes a hold; `retry` overrides."""
    fields: dict[str, Any] = {
        "message": error.message,
        "type": error.kind,
        "param": error.param,
        "code": error.code,
    }
    if approval is not None:
        fields["approval"] = approval
    headers: Headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    if isinstance(error, _NEVER_RETRY) or retry is False:
        headers.append((b"x-should-retry", b"false"))
    elif isinstance(error, Unavailable):
        headers.append((b"retry-after", str(RETRY_AFTER_S).encode()))
    if isinstance(error, (TooLarge, TooSlow, NotAuthenticated)):
        # What is left of the body is not read, so this connection cannot be used again.
        headers.append((b"connection", b"close"))
    if exchange is not None:
        headers.append((b"x-sekisho-exchange", exchange.encode()))
    return error.status, headers, orjson.dumps({"error": fields})


def backend_after_approval(error: BackendFailed) -> BackendFailed:
    """The same failure, told to someone whose approved request was already used up by it."""
    message = (
        f"{error.message} Your approved request was sent once and is never sent again by the "
        "gateway; send it anew to have it reviewed again."
    )
    return type(error)(message, code=error.code)
