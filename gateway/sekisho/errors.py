"""Everything that can stop an exchange, as one tree.

    SekishoError
    +-- InternalFault           500  a mistake of ours
    +-- Refused                 we will not: the client's request or the rules say so
    |   +-- BadRequest          400  not a request we can judge
    |   +-- TooLarge            413
    |   +-- TooSlow             408  the body did not arrive in time
    |   +-- NotAuthenticated    401
    |   +-- Forbidden           403  a role is missing, or separation of duties
    |   +-- DeniedByPolicy      403  policy spoke
    |   +-- Halted              403  an operator stopped it: the kill switch
    |   +-- HoldDenied          403  a person, the clock or the requester ended the hold
    |   +-- NotFound            404
    |   +-- Conflict            409  lost a race over a hold; read it again
    |   +-- Mismatch            422  same Idempotency-Key, other body
    |   +-- ApprovalPending     428  still waiting for people
    |   |   +-- JustificationRequired  for whoever asked, to say why
    |   +-- DraftsOutstanding   428  for whoever asked, to say what became of earlier answers
    |   +-- DispatchUnknown     424  sent, and nobody knows what became of it
    |   +-- LimitReached        429  a limit on use; says when to come back
    |   |   +-- BudgetExhausted 429  the money of a day or month
    |   +-- TooHasty            403  a reviewer approves sooner than anyone reads
    |   +-- TooManyFailures     429  credentials that failed too often from one address
    +-- Unavailable             503  a part we need is down; nothing was let through
    |   +-- PolicyUnavailable        the rules cannot be asked
    |   +-- LedgerUnavailable        evidence cannot be written
    |   +-- HoldStoreUnavailable     holds cannot be kept
    |   +-- HaltUnknown              whether something is stopped cannot be known
    |   +-- DirectoryUnavailable     principals cannot be looked up
    |   +-- LimitsUnavailable        what is left cannot be known
    |   +-- Overloaded               a limit of this worker is reached
    +-- LedgerRefused           503  auditd knows a reason why this must not be written
    +-- BackendFailed           502  the backend did not answer
    +-- BackendTimedOut         504

`web/problems.py` holds the one table from these to status and code. Messages are written for the
person who gets them: what happened, and what to do next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class SekishoError(Exception):
    """Root of all errors of the line. `code` is stable and documented in docs/reference/errors.md;
    `exchange` is set where the error ends one, `paid` where a backend has answered by then: to try
    again by itself would only have it answer again.
    """

    status = 500
    code = "internal_error"
    kind = "api_error"

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.exchange: str | None = None
        self.paid = False
        if code is not None:
            self.code = code


class InternalFault(SekishoError):
    """A mistake of ours: what a client is told; the operators' log has the rest."""

    code = "internal_fault"

    def __init__(self) -> None:
        super().__init__(
            "The gateway made a mistake and stopped this request. Nothing further was sent. "
            "Tell an operator the time and the x-sekisho-exchange header."
        )


class Refused(SekishoError):
    """The request will not be served as it is; sending it again unchanged does not help."""

    kind = "invalid_request_error"


class BadRequest(Refused):
    """The body is not one we can judge."""

    status = 400
    code = "invalid_request"


class TooLarge(Refused):
    """Body or header above its limit."""

    status = 413
    code = "request_too_large"


class TooSlow(Refused):
    """The request did not arrive whole before its deadline."""

    status = 408
    code = "request_timeout"


class NotAuthenticated(Refused):
    """No credential, or one we do not accept.

    `cause` and `credential` (its public name) are for the record; the client is told neither.
    `code` is `invalid_api_key` for keys and where nothing was shown, which SDKs know.
    """

    status = 401
    code = "invalid_api_key"
    kind = "authentication_error"

    def __init__(
        self,
        message: str,
        *,
        cause: str = "missing",
        credential: str = "",
        code: str | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.cause = cause
        self.credential = credential


class Forbidden(Refused):
    """Known, but not allowed to do this: a role is missing, or two people are needed."""

    status = 403
    code = "forbidden"
    kind = "permission_error"


class DeniedByPolicy(Refused):
    """Policy said deny; the message has rule and reason, `texts` the same in other languages."""

    status = 403
    code = "policy_denied"
    kind = "policy_error"

    def __init__(
        self, message: str, *, code: str | None = None, texts: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.texts = texts or {}


class Halted(Refused):
    """An operator stopped this: everything, or its team, backend, model or tool."""

    status = 403
    code = "halted"
    kind = "permission_error"


class HoldDenied(Refused):
    """A hold ended without approval: approval_denied, approval_expired, approval_withdrawn."""

    status = 403
    code = "approval_denied"
    kind = "approval_error"


class NotFound(Refused):
    """Not there, or not yours: the two look the same."""

    status = 404
    code = "not_found"


class Conflict(Refused):
    """The hold changed meanwhile: already_decided, binding_mismatch, busy."""

    status = 409
    code = "conflict"
    kind = "approval_error"


class Mismatch(Refused):
    """An Idempotency-Key came back with another body."""

    status = 422
    code = "idempotency_mismatch"


class ApprovalPending(Refused):
    """Still waiting for people. The request is kept; it must not be sent again."""

    status = 428
    code = "approval_pending"
    kind = "approval_error"


class JustificationRequired(ApprovalPending):
    """Kept, and waiting for whoever asked to say why."""

    code = "justification_required"


class DraftsOutstanding(Refused):
    """Whoever asks has left open what became of too many answers; nothing was sent."""

    status = 428
    code = "drafts_outstanding"


class DispatchUnknown(Refused):
    """It may have been sent and the outcome is not known; it is never sent again by us."""

    status = 424
    code = "dispatch_unknown"
    kind = "approval_error"


class LimitReached(Refused):
    """A limit on use is reached. `retry_after_s` is when it may be lifted, `headers` what is left.

    None: this request is larger than the whole limit, and waiting does not help.
    `limit_reached` for what a minute allows, `too_many_requests_at_once` for places.
    """

    status = 429
    code = "limit_reached"
    kind = "rate_limit_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        retry_after_s: int | None = 1,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s
        self.headers = dict(headers or {})


class BudgetExhausted(LimitReached):
    """The money of a day or month is used up: nothing lifts that before it ends."""

    code = "budget_exhausted"


class TooHasty(Refused):
    """An approval sooner than the reviewer can have read it, or one too many. `wait_s` is when it
    may be given; None: waiting alone does not help.
    """

    status = 403
    code = "too_soon"
    kind = "approval_error"

    def __init__(self, message: str, *, code: str, wait_s: int | None) -> None:
        super().__init__(message, code=code)
        self.wait_s = wait_s


class TooManyFailures(Refused):
    """Too many credentials from one address were refused; a good one is still let in."""

    status = 429
    code = "too_many_failures"
    kind = "authentication_error"

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unavailable(SekishoError):
    """A part we need is down, late or broken: nothing was let through, try again later."""

    status = 503
    code = "unavailable"
    kind = "service_unavailable_error"


class PolicyUnavailable(Unavailable):
    """The rules cannot be asked, so nothing may pass.

    `cause` is one word for operators and their log, as `late` or `stale_revision`; clients are told
    the message only.
    """

    code = "policy_unavailable"

    def __init__(self, message: str, *, cause: str = "engine") -> None:
        super().__init__(message)
        self.cause = cause


class PolicyRejected(SekishoError):
    """A bundle of rules cannot be used; the active one, if any, stays.

    `faults` has all of them, each as one line of text: file:line: what is wrong.
    """

    status = 422
    code = "policy_rejected"
    kind = "invalid_request_error"

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("The policy bundle was refused.\n" + "\n".join(faults))
        self.faults = tuple(faults)


class LedgerUnavailable(Unavailable):
    """Evidence cannot be made durable, so nothing may leave."""

    code = "audit_unavailable"


class LedgerRefused(SekishoError):
    """auditd refuses these events: duplicate_intent, unapproved_intent, unknown_intent, malformed.

    Nothing was written and nothing may leave; trying again with the same events does not help.
    """

    status = 503
    code = "audit_refused"


class HoldStoreUnavailable(Unavailable):
    """Holds cannot be kept or read."""

    code = "hold_store_unavailable"


class HaltUnknown(Unavailable):
    """This worker has not heard for too long whether something is stopped, so nothing goes on."""

    code = "halt_unknown"


class DirectoryUnavailable(Unavailable):
    """Principals cannot be looked up."""

    code = "directory_unavailable"


class LimitsUnavailable(Unavailable):
    """What is left of a limit cannot be known, so nothing more may be used."""

    code = "limits_unavailable"


class Overloaded(Unavailable):
    """A limit of this worker is reached."""

    code = "overloaded"


class BackendFailed(SekishoError):
    """The backend could not be reached, or broke off."""

    status = 502
    code = "backend_failed"
    kind = "backend_error"


class BackendTimedOut(BackendFailed):
    """The backend did not answer in time."""

    status = 504
    code = "backend_timeout"
