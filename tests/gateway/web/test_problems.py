from __future__ import annotations

import orjson
import pytest

from sekisho import errors
from sekisho.errors import BackendFailed, BackendTimedOut, InternalFault, SekishoError
from sekisho.web.problems import backend_after_approval, problem


def _headers(error: SekishoError) -> dict[bytes, bytes]:
    return dict(problem(error)[1])


def test_the_body_has_the_openai_shape() -> None:
    """Every SDK raises its own exception with our message in it."""
    error = errors.BadRequest("Mend it.", param="messages.0")
    status, headers, body = problem(error, exchange="x1")

    assert 400 == status
    assert {
        "message": "Mend it.",
        "type": "invalid_request_error",
        "param": "messages.0",
        "code": "invalid_request",
    } == orjson.loads(body)["error"]
    assert b"x1" == dict(headers)[b"x-sekisho-exchange"]
    assert b"no-store" == dict(headers)[b"cache-control"]


@pytest.mark.parametrize(
    "kind",
    [errors.ApprovalPending, errors.HoldDenied, errors.DispatchUnknown, errors.BadRequest],
)
def test_what_people_must_answer_is_never_sent_again_by_itself(kind: type[SekishoError]) -> None:
    """SDKs retry some statuses on their own; this header stops them."""
    headers = _headers(kind("no"))

    assert b"false" == headers[b"x-should-retry"]
    assert b"retry-after" not in headers


@pytest.mark.parametrize(
    "kind",
    [errors.Overloaded, errors.LedgerUnavailable, errors.PolicyUnavailable,
     errors.HoldStoreUnavailable, errors.DirectoryUnavailable],
)  # fmt: skip
def test_a_part_that_is_down_says_when_to_come_back(kind: type[SekishoError]) -> None:
    """503 with a pause, because a restart mends it."""
    status, headers, _ = problem(kind("down"))

    assert 503 == status
    assert int(dict(headers)[b"retry-after"]) > 0


@pytest.mark.parametrize("kind", [errors.TooLarge, errors.TooSlow])
def test_a_body_left_unread_ends_its_connection(kind: type[SekishoError]) -> None:
    """What follows on it would be taken for another request."""
    assert b"close" == _headers(kind("no"))[b"connection"]


def test_a_caller_may_forbid_the_retry() -> None:
    """A failure after an approval was used up looks like 502 otherwise, which SDKs repeat."""
    _, headers, _ = problem(BackendFailed("failed"), retry=False)

    assert b"false" == dict(headers)[b"x-should-retry"]


def test_a_hold_is_described_in_the_error() -> None:
    """For programs that read more than the message."""
    _, _, body = problem(errors.ApprovalPending("wait"), approval={"id": "hold_1"})

    assert {"id": "hold_1"} == orjson.loads(body)["error"]["approval"]


def test_our_own_fault_says_nothing_of_itself() -> None:
    """A fixed text with what to tell an operator."""
    assert (500, "internal_fault") == (InternalFault().status, InternalFault().code)


def test_a_failure_after_approval_keeps_its_kind() -> None:
    """Status and code stay; the text adds that it is never sent again."""
    told = backend_after_approval(BackendTimedOut("Late."))

    assert 504 == told.status
    assert told.message.startswith("Late.")
    assert "never sent again" in told.message
