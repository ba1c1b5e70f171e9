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
    BudgetExhausted,
    DeniedByPolicy,
    DispatchUnknown,
    DraftsOutstanding,
    Halted,
    HoldDenied,
    InternalFault,
    LimitReached,
    NotAuthenticated,
    SekishoError,
    TooHasty,
    TooLarge,
    TooManyFailures,
    TooSlow,
    Unavailable,
)

RETRY_AFTER_S = 2  # long enough for a restart of a part, short enough for a person to wait
RETRY_S_MAX = 60  # SDKs sleep no longer than that, or try again at once: better to be told
_BODY_LEFT = (TooLarge, TooSlow, NotAuthenticated, TooManyFailures)
_NEVER_RETRY = (
    *(ApprovalPending, DraftsOutstanding, Halted, HoldDenied, DispatchUnknown),
    *(BadRequest, InternalFault),
)

_QUOTA = "insufficient_quota"  # what OpenAI's clients know for money that is used up

Headers = list[tuple[bytes, bytes]]


def problem(
    error: SekishoError,
    *,
    exchange: str | None = None,
    approval: dict[str, Any] | None = None,
    retry: bool | None = None,
    language: str = "en",
) -> tuple[int, Headers, bytes]:
    """Status, headers and body for `error`. `approval` describes a hold; `retry` overrides.

    What rules said is told in `language`, if they speak it.
    """
    texts = error.texts if isinstance(error, DeniedByPolicy) else {}
    fields: dict[str, Any] = {
        "message": texts.get(language, error.message),
        "type": _QUOTA if isinstance(error, BudgetExhausted) else error.kind,
        "param": error.param,
        "code": error.code,
    }
    if approval is not None:
        fields["approval"] = approval
    headers: Headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    headers += _again(error, retry=retry)
    if language in texts:
        headers.append((b"content-language", language.encode()))
    if isinstance(error, LimitReached):
        headers += [(name.encode(), value.encode()) for name, value in error.headers.items()]
    if isinstance(error, NotAuthenticated):
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, _BODY_LEFT):
        # What is left of the body is not read, so this connection cannot be used again.
        headers.append((b"connection", b"close"))
    if exchange is not None:
        headers.append((b"x-sekisho-exchange", exchange.encode()))
    return error.status, headers, orjson.dumps({"error": fields})


def _again(error: SekishoError, *, retry: bool | None) -> Headers:
    """Whether a client should try again by itself, and when."""
    if isinstance(error, LimitReached) and error.retry_after_s is None:
        return [(b"x-should-retry", b"false")]
    if isinstance(error, (LimitReached, TooManyFailures)):
        after_s = max(1, error.retry_after_s or 0)
        headers = [(b"retry-after", b"%d" % after_s)]
        if isinstance(error, LimitReached):
            headers.append((b"retry-after-ms", b"%d" % (after_s * 1000)))
        if isinstance(error, TooManyFailures) or after_s > RETRY_S_MAX or retry is False:
            headers.append((b"x-should-retry", b"false"))
        return headers
    if isinstance(error, TooHasty):
        # A person waits, not a client: a second try by itself would be the haste that is meant.
        after = [] if error.wait_s is None else [(b"retry-after", b"%d" % error.wait_s)]
        return [*after, (b"x-should-retry", b"false")]
    if isinstance(error, _NEVER_RETRY) or retry is False or error.paid:
        return [(b"x-should-retry", b"false")]
    if isinstance(error, Unavailable):
        return [(b"retry-after", b"%d" % RETRY_AFTER_S)]
    return []


def backend_after_approval(error: BackendFailed) -> BackendFailed:
    """The same failure, told to someone whose approved request was already used up by it."""
    message = (
        f"{error.message} Your request was sent once and is never sent again by the gateway; send "
        "it anew if it is still needed: it is judged anew."
    )
    return type(error)(message, code=error.code)
